// Follows the budgets. In: events of the server. Out: the list, kept as it is. The token, where one is needed, is kept
// in this memory alone. It reads the stream by fetch, because an EventSource cannot send a token.
'use strict';

const $ = (id) => document.getElementById(id);
const RANK = ['stalled', 'problem', 'waiting', 'unknown', 'changing', 'ready'];
const PAGE = 100; // rows that are drawn at a time
const SILENCE = 25_000; // the server is never silent for longer
const LONGEST = 10_000; // between two attempts to connect

const budgets = new Map(); // namespace/name → { row, line }
const drawn = new Map(); // namespace/name → the parts of its row
let [token, more, limit, opened, step] = [null, 0, PAGE, null, 30];
let [lostAt, wake, complete] = [null, null, false];

const idOf = (row) => `${row.namespace}/${row.name}`;

function take(news) {
  if (news.full) {
    const there = new Set(news.rows.map(idOf));
    for (const id of budgets.keys()) if (!there.has(id)) budgets.delete(id);
    complete = true;
  }
  for (const { line, ...row } of news.rows) {
    const before = budgets.get(idOf(row));
    // A replica that has just begun knows less of the last hour than this page does.
    const past = before && before.line.length >= (line || []).length ? before.line : line || [row.committed];
    budgets.set(idOf(row), { row, line: past });
  }
  for (const [namespace, name] of news.gone || []) budgets.delete(`${namespace}/${name}`);
  [more, step] = [news.more, news.step];
  $('trouble').hidden = !news.trouble;
  $('trouble').textContent = news.trouble ? `What you see may be old: ${news.trouble}` : '';
  draw();
  if (opened && news.rows.some((row) => idOf(row) === opened)) refresh();
}

// A sample of each budget; a gap where nothing is known.
function beat() {
  for (const budget of budgets.values()) {
    budget.line = [...budget.line, lostAt ? null : budget.row.committed].slice(-SAMPLES);
  }
  draw();
}

function chosen() {
  const words = $('filter').value.toLowerCase().split(/\s+/).filter(Boolean);
  const text = ({ row }) => [idOf(row), WORDS[row.state][1], row.mode, ...row.problems.map((one) => one.reason)].join(' ').toLowerCase();
  const found = [...budgets.values()].filter((budget) => { const all = text(budget); return words.every((word) => all.includes(word)); });
  return found.sort((a, b) => RANK.indexOf(a.row.state) - RANK.indexOf(b.row.state) || (idOf(a.row) < idOf(b.row) ? -1 : 1));
}

function draw() {
  if (!complete) return;
  const [found, list, focused] = [chosen(), $('rows'), document.activeElement];
  const shown = found.slice(0, limit);
  const here = found.find(({ row }) => idOf(row) === opened);
  if (here && !shown.includes(here)) shown.push(here);
  const ids = new Set(shown.map(({ row }) => idOf(row)));
  for (const [id, parts] of drawn) if (!ids.has(id)) { parts.item.remove(); drawn.delete(id); }
  shown.forEach(({ row, line }, index) => {
    const id = idOf(row);
    if (!drawn.has(id)) drawn.set(id, makeRow(id, toggle));
    const parts = drawn.get(id);
    drawRow(parts, row, line);
    if (list.children[index] !== parts.item) list.insertBefore(parts.item, list.children[index] || null);
  });
  if (focused && focused !== document.activeElement && focused.isConnected) focused.focus({ preventScroll: true });
  if (opened && !drawn.has(opened)) opened = null;
  const rest = found.length - shown.length;
  $('further').hidden = rest <= 0;
  $('further').textContent = `Show ${Math.min(PAGE, rest)} more of ${rest.toLocaleString('en')}`;
  $('none').hidden = found.length > 0;
  $('none').textContent = budgets.size ? 'No budget matches the filter.' : 'There is no budget that you may see.';
  $('list').hidden = false;
  summarize(found);
}

function summarize(found) {
  const all = [...budgets.values()].map(({ row }) => row);
  const bad = all.filter((row) => row.state === 'stalled' || row.state === 'problem').length;
  const waiting = all.reduce((sum, row) => sum + row.waiting, 0);
  const parts = [count(all.length, 'budget'), bad ? `${bad} with problems` : 'none with problems'];
  if (waiting) parts.push(`${count(waiting, 'pod')} waiting`);
  if (more) parts.push(`${more} more are not shown, because there are too many`);
  if (found.length !== all.length) parts.push(`${found.length} match`);
  const text = parts.join(' · ');
  if ($('sum').textContent !== text) $('sum').textContent = text;
  document.title = bad ? `(${bad}) poolbudget` : 'poolbudget';
}

function toggle(id) { if (opened === id) close(); else open(id); }

function open(id) {
  close();
  const parts = drawn.get(id);
  if (!parts) return;
  opened = id;
  parts.name.setAttribute('aria-expanded', 'true');
  parts.item.classList.add('open');
  parts.body.hidden = false;
  parts.body.replaceChildren(make('p', 'quiet', 'Reading its pods…'));
  history.replaceState(null, '', `#${id}`);
  refresh();
}

function close() {
  const parts = opened && drawn.get(opened);
  opened = null;
  if (!parts) return;
  parts.name.setAttribute('aria-expanded', 'false');
  parts.item.classList.remove('open');
  parts.body.hidden = true;
  parts.body.replaceChildren();
  parts.name.focus({ preventScroll: true });
  history.replaceState(null, '', location.pathname + location.search);
}

let busy = false;
async function refresh() {
  if (!opened || busy || document.hidden) return;
  busy = true;
  const id = opened;
  try {
    const answer = await ask(`/api/budgets/${id}`);
    const text = await answer.text();
    const parts = opened === id && drawn.get(id);
    if (parts && answer.ok) show(parts.body, text, budgets.get(id).line);
    else if (parts) parts.body.replaceChildren(make('p', 'note bad', reason(text) || 'Its pods cannot be read.'));
  } catch { /* the stream says that the connection is lost */ } finally { busy = false; }
}

// Draws a detail anew if it changed, and leaves open what the reader has opened.
function show(body, text, line) {
  const all = `${text}${line.join()}`;
  if (body.dataset.drawn === all && body.querySelector('h3')) return;
  const before = [...body.querySelectorAll('details[open]')].map((one) => one.dataset.of);
  const focused = body.contains(document.activeElement) ? document.activeElement.parentElement.dataset.of : null;
  drawDetail(body, JSON.parse(text), line);
  body.dataset.drawn = all;
  for (const one of body.querySelectorAll('details')) {
    if (before.includes(one.dataset.of)) one.open = true;
    if (focused && one.dataset.of === focused) one.firstElementChild.focus({ preventScroll: true });
  }
}

function reason(text) { try { return JSON.parse(text).error; } catch { return ''; } }

function ask(path, signal) {
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  return fetch(path, { headers, signal, cache: 'no-store', credentials: 'omit', redirect: 'error' });
}

function connected() {
  lostAt = null;
  $('link').className = 'live';
  $('link').textContent = 'Live';
  document.body.classList.remove('old');
}

function lost(why) {
  lostAt = lostAt || new Date();
  $('link').className = 'lost';
  $('link').textContent = `Not connected since ${lostAt.toLocaleTimeString('en-GB')}${why ? `: ${why}` : ''}. Trying again.`;
  document.body.classList.add('old');
}

// Reads events until the stream ends or is silent for too long.
async function read(answer, abort) {
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = '';
  for (;;) {
    const timer = setTimeout(() => abort.abort(), SILENCE);
    const { done, value } = await reader.read().finally(() => clearTimeout(timer));
    if (done) return;
    connected();
    text += value;
    for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
      heard(text.slice(0, end));
      text = text.slice(end + 2);
    }
  }
}

function heard(text) {
  const field = (name) => (text.split('\n').find((line) => line.startsWith(`${name}: `)) || '').slice(name.length + 2);
  if (field('event') === 'budgets') take(JSON.parse(field('data')));
  if (field('event') === 'refused') throw new Error(JSON.parse(field('data')));
}

// Asks for a token until one is given.
function login(why) {
  $('link').textContent = '';
  $('list').hidden = true;
  $('login').hidden = false;
  $('why').textContent = why;
  $('token').focus();
  budgets.clear();
  complete = false;
  return new Promise((done) => {
    const enter = () => {
      token = $('token').value.trim().replace(/^Bearer\s+/i, '');
      $('token').value = '';
      $('login').hidden = true;
      done();
    };
    $('enter').onclick = enter;
    $('token').onkeydown = (event) => { if (event.key === 'Enter') enter(); };
  });
}

async function follow() {
  let delay = 1000;
  for (;;) {
    const abort = new AbortController();
    let why = '';
    try {
      const answer = await ask('/api/events', abort.signal);
      if (answer.status === 401) {
        await login(token ? 'This token is not valid (any more).' : 'This page shows the budgets that your token may get.');
        continue;
      }
      if (!answer.ok) throw new Error(reason(await answer.text()));
      delay = 1000;
      await read(answer, abort);
    } catch (error) {
      // The browser's own words for a lost connection say nothing more.
      why = error instanceof TypeError || error.name === 'AbortError' ? '' : error.message;
    }
    lost(why);
    await new Promise((done) => { wake = done; setTimeout(done, delay); });
    delay = Math.min(LONGEST, delay * 2);
  }
}

function begin() {
  $('filter').value = new URLSearchParams(location.search).get('filter') || '';
  drawLegend($('legend'));
  $('link').textContent = 'Connecting…';
  let typed;
  $('filter').addEventListener('input', () => { clearTimeout(typed); typed = setTimeout(() => { limit = PAGE; draw(); }, 80); });
  $('further').addEventListener('click', () => {
    const first = drawn.size;
    limit += PAGE;
    draw();
    $('rows').children[first]?.querySelector('button').focus();
  });
  document.addEventListener('keydown', (event) => {
    if (event.key !== 'Escape') return;
    if (opened) close();
    else if ($('filter').value) { $('filter').value = ''; draw(); }
  });
  window.addEventListener('online', () => wake?.());
  document.addEventListener('visibilitychange', () => { if (!document.hidden) { wake?.(); refresh(); } });
  setInterval(() => { if (!lostAt) refresh(); }, 5000);
  const sample = () => { if (complete) beat(); setTimeout(sample, step * 1000); };
  setTimeout(sample, step * 1000);
  const asked = decodeURIComponent(location.hash.slice(1));
  const wait = setInterval(() => { if (complete) { clearInterval(wait); if (asked && drawn.has(asked)) open(asked); } }, 100);
  follow();
}

begin();
