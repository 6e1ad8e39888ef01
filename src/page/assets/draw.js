// Draws budgets. In: what the server says, as plain values. Out: elements. Text is always set as text: names and
// sentences may hold anything.
'use strict';

const WORDS = {
  stalled: ['✕', 'Stalled', 'bad'], problem: ['!', 'Problem', 'bad'], waiting: ['…', 'Pods wait', 'warn'],
  unknown: ['?', 'Not processed yet', 'quiet'], changing: ['→', 'Changing', 'calm'], ready: ['✓', 'Ready', 'good'],
};

const PODS = {
  foreign: ['?', 'without a grant', 'runs without a grant', 'run without a grant'],
  ignoring: ['!', 'ignoring its size', 'ignores its size', 'ignore their size'],
  waiting: ['…', 'waiting', 'waits', 'wait'],
  granting: ['→', 'being granted', 'is being granted', 'are being granted'],
  draining: ['↓', 'draining', 'drains', 'drain'],
  counted: ['#', 'counted', 'is counted', 'are counted'],
  granted: ['✓', 'granted', 'is granted', 'are granted'],
};

// What ends by itself.
const PASSING = ['Settled', 'Reconciling'];

const SVG = 'http://www.w3.org/2000/svg';

// An element with classes and children; strings become text.
function make(name, classes, ...children) {
  const element = document.createElement(name);
  if (classes) element.className = classes;
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

function makeSvg(name, attributes, ...children) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, String(value));
  element.append(...children);
  return element;
}

function count(number, noun) {
  return `${number.toLocaleString('en')} ${noun}${number === 1 ? '' : 's'}`;
}

function hidden(text) { return make('span', 'unseen', text); }

// What pods hold beyond their grants, or without one: it is taken from what is usable.
function taken(row) {
  return row.limit === null ? 0 : Math.max(0, row.limit - row.reserved - row.usable);
}

function numbers(row) {
  if (row.limit === null) return row.state === 'unknown' ? 'No operator has processed this budget yet' : 'No limit is known';
  const parts = [`${row.committed.toLocaleString('en')} of ${count(row.usable, 'connection')} committed`];
  if (row.inUse !== null) parts.push(`${row.inUse.toLocaleString('en')} in use`);
  if (row.open !== null) {
    const outside = row.outside ? `, ${row.outside.toLocaleString('en')} of them outside` : '';
    parts.push(`${row.open.toLocaleString('en')} open in the database${outside}`);
  }
  if (row.reserved) parts.push(`${row.reserved.toLocaleString('en')} reserved`);
  if (taken(row)) parts.push(`${taken(row).toLocaleString('en')} held beyond grants`);
  parts.push(`limit ${row.limit.toLocaleString('en')}`);
  return parts.join(' · ');
}

// The parts of a bar from left to right, as fractions of it.
function drawBar(bar, row) {
  const limit = row.limit || 0;
  const whole = Math.max(limit, row.committed + taken(row) + row.reserved, 1);
  const part = (classes, value) => {
    const element = make('span', classes);
    element.style.width = `${(100 * value) / whole}%`;
    return element;
  };
  const parts = [part('committed', row.committed), make('span', 'free')];
  if (taken(row)) parts.push(part('taken', taken(row)));
  if (row.reserved) parts.push(part('reserved', row.reserved));
  if (row.inUse !== null) parts.push(part('used', Math.min(row.inUse, whole)));
  if (row.committed > row.usable && row.mode === 'Gate') bar.classList.add('over'); else bar.classList.remove('over');
  bar.replaceChildren(...parts);
}

const SAMPLES = 120;

// The last hour: what was committed, under what may be. Gaps are gaps.
function drawLine(svg, line, row, big) {
  const [width, height, edge] = [SAMPLES - 1, big ? 72 : 30, 2];
  const known = line.filter((value) => value !== null);
  const most = Math.max(row.usable, ...known, 1);
  const x = (index) => index + SAMPLES - line.length;
  const y = (value) => (height - edge - ((height - 2 * edge) * value) / most).toFixed(1);
  let [path, area, pen] = ['', '', null];
  line.forEach((value, index) => {
    if (value === null) { if (pen !== null) area += `V${height}H${pen}Z`; pen = null; return; }
    path += pen === null ? `M${x(index)} ${y(value)}` : `H${x(index)}V${y(value)}`;
    area += pen === null ? `M${x(index)} ${y(value)}` : `H${x(index)}V${y(value)}`;
    if (pen === null) pen = x(index);
  });
  if (pen !== null) area += `V${height}H${pen}Z`;
  svg.setAttribute('viewBox', `0 0 ${width} ${height}`);
  svg.setAttribute('preserveAspectRatio', 'none');
  svg.setAttribute('role', 'img');
  svg.setAttribute('aria-label', known.length < 2 ? 'The line of the last hour begins now'
    : `Committed in the last hour: ${Math.min(...known)} to ${count(Math.max(...known), 'connection')}`);
  svg.replaceChildren(
    makeSvg('path', { class: 'area', d: area }),
    makeSvg('path', { class: 'most', d: `M0 ${y(row.usable)}H${width}` }),
    makeSvg('path', { class: 'now', d: path }));
}

// A row of the list. `open` is called when it is chosen.
function makeRow(id, open) {
  const name = make('button', 'name');
  name.type = 'button';
  name.setAttribute('aria-expanded', 'false');
  const state = make('span', 'state');
  const bar = make('div', 'bar');
  bar.setAttribute('aria-hidden', 'true');
  const told = make('p', 'numbers');
  const pods = make('p', 'pods');
  const line = makeSvg('svg', { class: 'line' });
  const why = make('p', 'why');
  const title = make('h2', '', name);
  const head = make('div', 'head', make('div', 'who', title, state), make('div', 'what', bar, told), make('div', 'past', line, pods), why);
  const body = make('div', 'body');
  body.hidden = true;
  const item = make('li', 'row', head, body);
  name.addEventListener('click', () => open(id));
  return { item, name, state, bar, told, pods, line, why, body, drawn: '' };
}

function drawRow(parts, row, line) {
  const text = JSON.stringify([row, line]);
  if (parts.drawn === text) return;
  parts.drawn = text;
  const [glyph, word, tone] = WORDS[row.state] || WORDS.unknown;
  parts.name.replaceChildren(make('span', 'space', `${row.namespace}/`), row.name);
  const mark = make('span', 'glyph', glyph);
  mark.setAttribute('aria-hidden', 'true');
  parts.state.className = `state ${tone}`;
  parts.state.replaceChildren(mark, row.mode === 'Observe' ? `${word} · mode Observe` : word);
  drawBar(parts.bar, row);
  parts.told.textContent = numbers(row);
  const some = [[row.granted, 'granted'], [row.waiting, 'waiting'], [row.draining, 'draining'], [row.foreign, 'without a grant'],
    [row.ignoring, 'ignoring']].filter(([number]) => number > 0);
  parts.pods.textContent = some.length ? `Pods: ${some.map(([number, what]) => `${number} ${what}`).join(', ')}` : 'No pods';
  drawLine(parts.line, line, row, false);
  const first = row.problems[0];
  parts.why.hidden = !first;
  parts.why.className = `why ${tone}`;
  parts.why.replaceChildren(...(first ? [make('strong', '', first.reason), ` ${first.text}`] : []));
}

// All that is known of an open budget.
function drawDetail(body, detail, line) {
  const known = new Map();
  for (const pod of detail.pods) {
    const key = pod.workload || 'Pods of no known workload';
    known.set(key, [...(known.get(key) || []), pod]);
  }
  const blocks = detail.workloads.map((workload) => {
    const pods = known.get(workload.workload) || [];
    known.delete(workload.workload);
    return drawWorkload(workload.workload, facts(workload), pods);
  });
  for (const [name, pods] of known) blocks.push(drawWorkload(name, '', pods));
  const big = makeSvg('svg', { class: 'line big' });
  drawLine(big, line, detail, true);
  const source = detail.source ? `Limit: ${count(detail.limit ?? 0, 'connection')} (${detail.source})` : null;
  const parts = [
    make('div', 'facts', source && make('p', '', source),
      make('figure', '', make('figcaption', '', `Committed in the last hour; the dashed line is what may be committed: ${count(detail.usable, 'connection')}`), big)),
    drawConditions(detail),
  ];
  if (detail.unknown) parts.push(make('p', 'note bad', `Its pods are not known: ${detail.unknown}`));
  parts.push(make('h3', '', 'Workloads'));
  if (blocks.length) parts.push(make('ul', 'workloads', ...blocks));
  else parts.push(make('p', 'quiet', `No workload has the label poolbudget.dev/budget=${detail.name} yet`));
  if (detail.moreWorkloads) parts.push(make('p', 'quiet', `and ${count(detail.moreWorkloads, 'more workload')}`));
  if (detail.morePods) parts.push(make('p', 'quiet', `and ${count(detail.morePods, 'more pod')}`));
  body.replaceChildren(...parts);
}

function drawConditions(detail) {
  const problems = new Set(detail.problems.map((problem) => problem.about));
  const shown = detail.problems.map((problem) => make('li', PASSING.includes(problem.about) ? 'warn' : 'bad', make('strong', '', `${problem.about} · ${problem.reason}`), ` ${problem.text}`));
  const rest = detail.conditions.filter((one) => !problems.has(one.about));
  const all = rest.map((one) => make('li', '', make('strong', '', `${one.about}: ${one.status}`), ` ${one.text}`));
  const block = make('div', 'conditions');
  if (shown.length) block.append(make('h3', '', 'What is not as it should be'), make('ul', 'problems', ...shown));
  if (all.length) {
    const summary = make('summary', '', shown.length ? 'All other conditions' : 'Conditions');
    const more = make('details', '', summary, make('ul', '', ...all));
    more.dataset.of = 'conditions';
    block.append(more);
  }
  return block;
}

function facts(workload) {
  const replicas = count(workload.replicas, 'replica') + (workload.ceiling > workload.replicas ? ` (up to ${workload.ceiling})` : '');
  const parts = [replicas, `${count(workload.perPod, 'connection')} for each pod (pool ${workload.poolSize}, overflow ${workload.maxOverflow})`,
    `${workload.committed} committed`];
  if (workload.inUse !== null) parts.push(`${workload.inUse}${workload.open === null ? '' : ` of ${workload.open} open`} in use`);
  if (workload.waitingCheckouts) parts.push(`${count(workload.waitingCheckouts, 'checkout')} waiting in the pods`);
  if (workload.ignoring) parts.push(`${count(workload.ignoring, 'pod')} ignoring the size`);
  if (workload.foreign) parts.push(`${count(workload.foreign[0], 'pod')} without a grant may hold ${count(workload.foreign[1], 'connection')}`);
  return parts.join(' · ');
}

function drawWorkload(name, text, pods) {
  const cells = pods.map((pod) => {
    const [glyph, word] = PODS[pod.state];
    const mark = make('span', '', glyph);
    mark.setAttribute('aria-hidden', 'true');
    const cell = make('li', `cell ${pod.state}`, mark, hidden(`${pod.name}: ${word}, ${pod.text}`));
    cell.title = `${pod.name}: ${word}, ${pod.text}`;
    return cell;
  });
  const block = make('li', 'workload', make('h4', '', name), text ? make('p', 'quiet', text) : null);
  if (!cells.length) { block.append(make('p', 'quiet', 'No pods')); return block; }
  block.append(make('ul', 'cells', ...cells), make('ul', 'reasons', ...grouped(pods)));
  const list = pods.map((pod) => make('li', '', make('code', '', pod.name), ` ${PODS[pod.state][1]}: ${pod.text}`));
  const more = make('details', '', make('summary', '', `${count(pods.length, 'pod')} of ${name} by name`), make('ul', 'names', ...list));
  more.dataset.of = name;
  block.append(more);
  return block;
}

// One line for all pods that are in one state for one reason.
function grouped(pods) {
  const groups = new Map();
  for (const pod of pods) {
    const key = [pod.state, pod.reason, pod.text].join('\n');
    groups.set(key, [...(groups.get(key) || []), pod]);
  }
  return [...groups.values()].map((group) => {
    const [{ state, reason, text }] = group;
    const [glyph, , one, many] = PODS[state];
    const mark = make('span', `cell ${state}`, glyph);
    mark.setAttribute('aria-hidden', 'true');
    const named = group.length <= 3 && state !== 'granted' ? ` (${group.map((pod) => pod.name).join(', ')})` : '';
    const each = group.length > 1 ? ' each' : '';
    const said = state === 'granted' ? `: ${text}${each}` : `${named}${reason ? ` · ${reason}` : ''}: ${text}`;
    return make('li', '', mark, make('span', '', make('strong', '', `${count(group.length, 'pod')} ${group.length === 1 ? one : many}`), said));
  });
}

// What the parts of a bar mean.
function drawLegend(list) {
  const part = (classes, text) => make('li', '', make('span', `key ${classes}`), text);
  list.replaceChildren(part('committed', 'committed'), part('used', 'in use, where pods are asked'), part('free', 'free'),
    part('taken', 'held beyond grants'), part('reserved', 'reserved'));
}
