// What the test of the status page asks it: functions that look at the page and change nothing.

// With plain blanks, whatever keeps figures and units on a line.
const plain = text => text.replaceAll('\u00a0', ' ');

// The text of an element, by its id.
const textOf = id => plain(document.getElementById(id).textContent);

// A cell or a fact: the exact value behind what is shown, if there is one.
const valueOf = node => (node.querySelector('data[value]') || { value: plain(node.textContent) }).value;

// A table's body as { first cell: [value, …] }.
const tableOf = body => Object.fromEntries([...body.rows].map(row => [plain(row.cells[0].textContent), [...row.cells].slice(1).map(valueOf)]));

const factsOf = list => Object.fromEntries([...list.querySelectorAll('dt')].map(name => [name.textContent, valueOf(name.nextElementSibling)]));

function figures() {
  const bodies = id => [...document.querySelectorAll(`#${id} tbody`)].map(tableOf);
  const body = id => tableOf(document.getElementById(id));
  return {
    lag: bodies('lag'), intake_lag: bodies('intake-lag'), throughput: bodies('throughput')[0], letters: body('letters'),
    deliveries: body('deliveries'), events: body('events'), work: body('work'),
    worker: factsOf(document.querySelector('.worker dl')), queue: factsOf(document.getElementById('queue-facts')),
    registration: factsOf(document.getElementById('registration')),
  };
}

// ---- contrast, as WCAG 2 counts it ----

const channels = color => color.match(/[\d.]+/g).map(Number);

function luminance(color) {
  const [r, g, b] = channels(color).map(value => value / 255).map(value => value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

function ratio(one, other) {
  const [high, low] = [luminance(one), luminance(other)].sort((a, b) => b - a);
  return (high + 0.05) / (low + 0.05);
}

function backgroundOf(node) {
  for (let at = node; at; at = at.parentElement) {
    const color = getComputedStyle(at).backgroundColor;
    if ((channels(color)[3] ?? 1) > 0) return color;
  }
  return 'rgb(255, 255, 255)';
}

const isShown = node => node.getClientRects().length > 0;

// [what, ratio] of every text that is shown.
function textContrasts() {
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), found = [];
  while (walker.nextNode()) {
    const node = walker.currentNode.parentElement, text = walker.currentNode.data.trim();
    if (!text || !isShown(node) || node.localName === 'title') continue;
    const style = getComputedStyle(node);
    found.push([text, ratio(node.namespaceURI.endsWith('svg') ? style.fill : style.color, backgroundOf(node))]);
  }
  return found;
}

// [what, ratio] of what is no text and means something.
function shapeContrasts() {
  const found = [];
  for (const node of document.querySelectorAll('svg.plot rect, svg.plot path.success, svg.plot line.axis, svg.plot line.mark, #sign, button, .key, .gauge')) {
    const style = getComputedStyle(node), ground = backgroundOf(node.parentElement);
    const color = { BUTTON: style.borderTopColor, DIV: style.borderTopColor, SPAN: style.backgroundColor }[node.tagName]
      || (style.fill !== 'none' && node.localName !== 'line' ? style.fill : style.stroke);
    found.push([`${node.localName} ${node.getAttribute('class') || node.id}`, ratio(color, ground)]);
  }
  return found;
}

// What has the keyboard's focus, and whether that is to be seen.
function focused() {
  const node = document.activeElement, style = getComputedStyle(node);
  return {
    what: node === document.body ? 'body' : `${node.localName} ${node.textContent.trim()}`,
    seen: style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2 && ratio(style.outlineColor, backgroundOf(node.parentElement)) >= 3,
  };
}

// Elements that stick out of the page to the right.
function overflowing() {
  const width = document.documentElement.clientWidth;
  return [...document.querySelectorAll('body *')].filter(node => isShown(node) && !node.closest('.spoken') && node.getBoundingClientRect().right > width + 0.5)
    .map(node => `${node.localName} ${node.id || node.textContent.slice(0, 40)}`);
}

// Smaller than what a finger can hit.
const tooSmall = () => [...document.querySelectorAll('button, summary')].filter(node => isShown(node) && node.getBoundingClientRect().height < 24).map(node => node.textContent);

const requestsSoFar = () => performance.getEntriesByType('resource').length;
