// The peer in Node: fastify and pg, one INSERT … SELECT FROM unnest(…) for each request, which is one transaction, and the answer after
// its commit.
//
//   node unnest.mjs --port PORT --host DIRECTORY [--user postgres] [--pool 64] [--processes 1]
//
// It guarantees what cxone_sync does for the contract's events: 200 means committed; events of one request are folded by id, and those
// older than the row change nothing, a later one of equal time wins; what would change nothing is not written; an absent field leaves
// its column alone; 400 for what can never be accepted, 503 for what a retry may cure. Rows are written in the order of their ids, so
// that two requests never deadlock.
//
// It does not: tell null from absent; put a bad event aside (the whole request gets 400); take ids that are numbers, or times other than
// RFC 3339; compare all events of one id in a request with the row, but the newest (by milliseconds), which brings the others' fields
// along; count what was skipped apart from what changed nothing; keep fields that no column takes.
//
// Tuned: connections for all clients, held open, over the Unix socket; the statement is prepared once for each of them; the body goes
// through JSON.parse alone, since only known members are read; replies by a compiled serializer; no log; several processes share the
// port and the connections if asked to.
import cluster from 'node:cluster';
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import fastify from 'fastify';
import pg from 'pg';

const { values: options } = parseArgs({
  options: {
    port: { type: 'string' },
    host: { type: 'string' },
    user: { type: 'string', default: 'postgres' },
    pool: { type: 'string', default: '64' },
    processes: { type: 'string', default: '1' },
  },
});

const upsert = { name: 'upsert', text: readFileSync(new URL('upsert.sql', import.meta.url), 'utf8') };

const rfc3339 = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/;
const maxSkew = 5 * 60 * 1000;
const fields = ['externalId', 'firstName', 'lastName', 'email'];

const refusal = (message) => Object.assign(new Error(message), { statusCode: 400 });

// The rows of a request, each complete with a time, or the reason why they can never be accepted.
function rowsOf(body) {
  if (!Array.isArray(body?.events)) throw refusal('no array "events"');
  const now = Date.now();
  return body.events.map((event, i) => {
    if (typeof event?.id !== 'string' || event.id === '') throw refusal(`event ${i} has no id`);
    for (const field of fields)
      if (event[field] != null && typeof event[field] !== 'string') throw refusal(`${field} of event ${i} is no string`);
    let { timestamp } = event;
    let time = now;
    if (timestamp == null) timestamp = new Date(now).toISOString();
    else if (typeof timestamp !== 'string' || !rfc3339.test(timestamp) || Number.isNaN((time = Date.parse(timestamp))))
      throw refusal(`event ${i} has no time`);
    if (time - now > maxSkew) throw refusal(`event ${i} is of the future`);
    return {
      id: event.id, externalId: event.externalId ?? null, firstName: event.firstName ?? null, lastName: event.lastName ?? null,
      email: event.email ?? null, timestamp, time,
    };
  });
}

// One row for each id, in the order of the ids, as if they had come one after the other.
function fold(rows) {
  if (rows.length < 2) return rows;
  rows.sort((a, b) => (a.id < b.id ? -1 : a.id > b.id ? 1 : 0));
  const folded = [rows[0]];
  for (let i = 1; i < rows.length; i++) {
    const last = folded[folded.length - 1];
    const row = rows[i];
    if (row.id !== last.id) {
      folded.push(row);
      continue;
    }
    if (row.time < last.time) continue;
    for (const field of fields) last[field] = row[field] ?? last[field];
    last.timestamp = row.timestamp;
    last.time = row.time;
  }
  return folded;
}

// Arrays, column by column.
function parametersOf(rows) {
  const columns = [[], [], [], [], [], []];
  for (const row of rows) {
    columns[0].push(row.id);
    columns[1].push(row.externalId);
    columns[2].push(row.firstName);
    columns[3].push(row.lastName);
    columns[4].push(row.email);
    columns[5].push(row.timestamp);
  }
  return columns;
}

async function serve(connections) {
  const pool = new pg.Pool({
    host: options.host, user: options.user, database: 'postgres', max: connections, min: connections, idleTimeoutMillis: 0,
    statement_timeout: 30000,
  });
  pool.on('error', (error) => console.error(error.message));

  const app = fastify({ logger: false, bodyLimit: 4 << 20, onProtoPoisoning: 'ignore', onConstructorPoisoning: 'ignore' });
  const count = { type: 'integer' };
  const counts = { type: 'object', properties: { received: count, applied: count, skipped: count, dead_lettered: count } };

  app.post('/webhook', { schema: { response: { 200: counts } } }, async (request, reply) => {
    const rows = rowsOf(request.body);
    const received = rows.length;
    let applied = 0;
    if (received > 0) {
      try {
        applied = (await pool.query({ ...upsert, values: parametersOf(fold(rows)) })).rowCount;
      } catch (error) {
        console.error(error.message);
        if (error.code?.startsWith('22')) throw refusal(error.message); // a value that no retry cures
        return reply.code(503).header('Retry-After', '1').send({ error: 'try again later' });
      }
    }
    return { received, applied, skipped: received - applied, dead_lettered: 0 };
  });
  app.route({
    method: ['GET', 'PUT', 'PATCH', 'DELETE'],
    url: '/webhook',
    handler: (request, reply) => reply.code(405).header('Allow', 'POST').send({ error: 'POST only' }),
  });

  process.once('SIGTERM', async () => {
    await app.close();
    await pool.end();
    process.exit(0);
  });
  await app.listen({ host: '127.0.0.1', port: Number(options.port) });
}

const processes = Number(options.processes);
if (processes > 1 && cluster.isPrimary) {
  for (let i = 0; i < processes; i++) cluster.fork();
  // workers end by themselves when the channel to this process closes
  process.once('SIGTERM', () => process.exit(0));
} else await serve(Math.ceil(Number(options.pool) / processes));
