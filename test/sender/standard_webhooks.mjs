// Sends deliveries as real senders do: signed by the libraries' own functions. Standard input is JSON:
// { url, deliveries: [{ library: "svix" | "standardwebhooks", secret, id, body }] }; for each of them a line with the
// status and the reply is printed. A secret comes by standard input, as a command line is for all to see.

import { createRequire } from 'node:module';
import { text } from 'node:stream/consumers';

const require = createRequire(import.meta.url);
const libraries = { svix: require('svix').Webhook, standardwebhooks: require('standardwebhooks').Webhook };

const { url, deliveries } = JSON.parse(await text(process.stdin));
for (const { library, secret, id, body } of deliveries) {
  const time = new Date();
  const response = await fetch(url, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      'webhook-id': id,
      'webhook-timestamp': String(Math.floor(time.getTime() / 1000)),
      'webhook-signature': new libraries[library](secret).sign(id, time, body),
    },
    body,
  });
  console.log(`${response.status} ${(await response.text()).trim()}`);
}
