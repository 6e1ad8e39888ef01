// The page in a real browser. In: the program that serves fixed clusters, a browser. Out: an exit code, and pictures in
// target/page. Every message on the browser's console is a failure, but for those of a connection that the test cuts.
'use strict';

const { spawn } = require('node:child_process');
const { readFileSync, mkdirSync } = require('node:fs');
const net = require('node:net');
const assert = require('node:assert/strict');
const { chromium } = require('playwright-core');

const [SERVER, BROWSER, PICTURES] = process.argv.slice(2);
const AXE = readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');
const WIDE = { width: 1180, height: 800 };
const PHONE = { width: 390, height: 844 };
// A thousand budgets are drawn, and a filter is answered, within these milliseconds, also on a busy machine.
const DRAWN = 5000;
const FILTERED = 1500;

const freePort = () => new Promise((done) => {
  const server = net.createServer().listen(0, '127.0.0.1', () => { const { port } = server.address(); server.close(() => done(port)); });
});

class Server {
  static running = new Set();
  static async start(state, port, token) {
    const server = new Server();
    server.port = port || await freePort();
    server.child = spawn(SERVER, [String(server.port), state, ...(token ? [token] : [])], { stdio: ['pipe', 'inherit', 'inherit'] });
    Server.running.add(server);
    server.url = `http://127.0.0.1:${server.port}/`;
    const end = Date.now() + 20_000;
    for (;;) {
      if (await fetch(server.url).then((answer) => answer.ok, () => false)) return server;
      assert.ok(Date.now() < end, 'the server does not answer');
      await new Promise((done) => setTimeout(done, 50));
    }
  }
  become(state) { this.child.stdin.write(`${state}\n`); }
  async stop() { Server.running.delete(this); const gone = new Promise((done) => this.child.once('exit', done)); this.child.kill(); await gone; }
}

// A page in which every complaint of the browser is remembered.
async function visit(browser, url, options = {}) {
  const { until, ...looks } = options;
  const context = await browser.newContext({ viewport: WIDE, reducedMotion: 'reduce', ...looks });
  const page = await context.newPage();
  page.complaints = [];
  page.on('console', (message) => { if (['error', 'warning'].includes(message.type())) page.complaints.push(message.text()); });
  page.on('pageerror', (error) => page.complaints.push(String(error)));
  page.on('request', (request) => { if (!request.url().startsWith(new URL(url).origin)) page.complaints.push(`loads ${request.url()}`); });
  page.on('dialog', (dialog) => { page.complaints.push('a script of a tenant ran'); dialog.dismiss(); });
  await page.goto(url);
  await page.waitForSelector(until || '.row');
  return page;
}

const row = (page, id) => page.locator('.row').filter({ has: page.getByRole('button', { name: id, exact: true }) });

async function open(page, id) {
  await page.getByRole('button', { name: id, exact: true }).click();
  await row(page, id).locator('h3').first().waitFor();
}

async function accessible(page, what) {
  const session = await page.context().newCDPSession(page);
  // Not by a script tag: the policy of the page forbids foreign ones.
  await session.send('Runtime.evaluate', { expression: AXE });
  const { result } = await session.send('Runtime.evaluate', { awaitPromise: true, returnByValue: true,
    expression: 'axe.run(document, {resultTypes: ["violations"]}).then((all) => all.violations.map((one) => ({id: one.id, help: one.help, nodes: one.nodes.map((node) => node.html + " " + node.failureSummary)})))' });
  assert.deepEqual(result.value, [], `${what}: ${JSON.stringify(result.value, null, 1)}`);
}

const LOOKS = {
  light: { colorScheme: 'light' }, dark: { colorScheme: 'dark' },
  phone: { viewport: PHONE, isMobile: true, hasTouch: true },
};

async function looksRight(browser, state, opened) {
  const server = await Server.start(state);
  for (const [look, options] of Object.entries(LOOKS)) {
    const page = await visit(browser, server.url, options);
    if (opened) await open(page, opened);
    await accessible(page, `${state}, ${look}`);
    const wide = await page.evaluate('document.documentElement.scrollWidth - document.documentElement.clientWidth');
    assert.equal(wide, 0, `${state}, ${look}: it scrolls sideways`);
    await page.screenshot({ path: `${PICTURES}/${state}-${look}.png`, fullPage: state !== 'many' });
    assert.deepEqual(page.complaints, [], `${state}, ${look}`);
    await page.context().close();
  }
  await server.stop();
}

const tests = {
  'a healthy cluster looks right': (browser) => looksRight(browser, 'healthy', 'billing/ledger'),
  'waiting and draining pods look right': (browser) => looksRight(browser, 'draining', 'shop/main'),
  'a budget that cannot work looks right': (browser) => looksRight(browser, 'stalled', 'shop/main'),
  'foreign and ignoring pods look right': (browser) => looksRight(browser, 'foreign', 'shop/main'),
  'a thousand budgets look right': (browser) => looksRight(browser, 'many'),

  'a budget says its numbers with their units, and an open one why each pod waits': async (browser) => {
    const server = await Server.start('draining');
    const page = await visit(browser, server.url);
    await open(page, 'shop/main');
    const text = await row(page, 'shop/main').innerText();
    assert.match(text, /13 of 13 connections committed · 2 reserved · limit 15/);
    assert.match(text, /2 pods wait .*Draining.*terminating pods still hold 4 of 13/s);
    assert.match(text, /2 pods drain/);
    assert.deepEqual(page.complaints, []);
    await server.stop();
  },

  'what a tenant writes is shown as text': async (browser) => {
    const server = await Server.start('foreign');
    const page = await visit(browser, server.url);
    await open(page, 'shop/main');
    assert.match(await row(page, 'shop/main').innerText(), /<img src=x onerror=alert\(1\)>/);
    assert.equal(await page.locator('main img').count(), 0);
    assert.match(await row(page, 'shop/main').innerText(), /1 pod runs without a grant/);
    assert.match(await row(page, 'shop/main').innerText(), /1 pod ignores its size \(web-7d9f-b\)/);
    assert.deepEqual(page.complaints, []);
    await server.stop();
  },

  'the keyboard is enough': async (browser) => {
    const server = await Server.start('healthy');
    const page = await visit(browser, server.url);
    await page.keyboard.press('Tab');
    assert.equal(await page.evaluate('document.activeElement.id'), 'filter');
    await page.keyboard.press('Tab');
    assert.equal(await page.evaluate('document.activeElement.textContent'), 'billing/ledger');
    await page.keyboard.press('Enter');
    const name = page.getByRole('button', { name: 'billing/ledger', exact: true });
    assert.equal(await name.getAttribute('aria-expanded'), 'true');
    await row(page, 'billing/ledger').locator('h3').first().waitFor();
    await page.keyboard.press('Tab');
    assert.match(await page.evaluate('document.activeElement.textContent'), /onditions/);
    await page.keyboard.press('Escape');
    assert.equal(await name.getAttribute('aria-expanded'), 'false');
    assert.equal(await page.evaluate('document.activeElement.textContent'), 'billing/ledger');
    assert.deepEqual(page.complaints, []);
    await server.stop();
  },

  'what changes is shown without a reload': async (browser) => {
    const server = await Server.start('healthy');
    const page = await visit(browser, server.url);
    await page.getByText('none with problems').waitFor();
    await page.getByRole('button', { name: 'shop/main', exact: true }).focus();
    server.become('stalled');
    await row(page, 'shop/main').getByText('Stalled').first().waitFor();
    assert.equal(await page.evaluate('document.activeElement.textContent'), 'shop/main', 'the focus stays');
    assert.match(await page.locator('.row').first().innerText(), /shop\/main/);
    assert.equal(await page.locator('.row').count(), 2, 'what is gone is gone');
    assert.deepEqual(page.complaints, []);
    await server.stop();
  },

  'the page outlives a restart of the operator': async (browser) => {
    const server = await Server.start('healthy');
    const page = await visit(browser, server.url);
    await page.getByText('Live', { exact: true }).waitFor();
    await server.stop();
    await page.getByText(/^Not connected since \d\d:\d\d:\d\d/).waitFor();
    assert.equal(await page.locator('.row').count(), 4, 'what was known stays');
    const again = await Server.start('draining', server.port);
    await page.getByText('Live', { exact: true }).waitFor({ timeout: 30_000 });
    await row(page, 'shop/main').locator('.state').getByText('Pods wait').waitFor();
    const cut = /net::ERR_(CONNECTION_REFUSED|INCOMPLETE_CHUNKED_ENCODING|CONNECTION_RESET|EMPTY_RESPONSE|SOCKET_NOT_CONNECTED)/;
    assert.deepEqual(page.complaints.filter((text) => !cut.test(text)), []);
    await again.stop();
  },

  'a page that asks for a token keeps it in memory and shows what it opens': async (browser) => {
    const server = await Server.start('healthy', undefined, 'good');
    const page = await visit(browser, server.url, { until: '#token' });
    await page.getByLabel('Bearer token').waitFor();
    assert.equal(await page.evaluate('document.activeElement.id'), 'token');
    await accessible(page, 'the field of the token');
    await page.keyboard.type('bad');
    await page.keyboard.press('Enter');
    await page.getByText('This token is not valid (any more).').waitFor();
    await page.keyboard.type('Bearer good');
    await page.keyboard.press('Enter');
    await page.getByText('2 budgets').waitFor();
    assert.equal(await page.getByText('billing').count(), 0);
    await open(page, 'shop/main');
    assert.match(await row(page, 'shop/main').innerText(), /4 pods are granted/);
    const kept = await page.evaluate('JSON.stringify([document.cookie, {...localStorage}, {...sessionStorage}, location.href])');
    assert.ok(!kept.includes('good'), kept);
    const refused = /status of 401/;
    assert.deepEqual(page.complaints.filter((text) => !refused.test(text)), []);
    await server.stop();
  },

  'a thousand budgets are drawn and filtered in time, problems first': async (browser) => {
    const server = await Server.start('many');
    const begun = Date.now();
    const page = await visit(browser, server.url);
    await page.getByText('1,000 budgets').waitFor();
    const drawn = Date.now() - begun;
    assert.match(await page.locator('.row').first().innerText(), /shop\/main/);
    assert.equal(await page.locator('.row').count(), 100);
    const filtering = Date.now();
    await page.getByLabel('Filter').fill('team-07/database-88');
    await page.getByText('1 match').waitFor();
    const filtered = Date.now() - filtering;
    assert.equal(await page.locator('.row').count(), 1);
    await page.getByLabel('Filter').fill('');
    await page.getByRole('button', { name: /Show 100 more of 900/ }).click();
    assert.equal(await page.locator('.row').count(), 200);
    console.log(`  drawn in ${drawn} ms, filtered in ${filtered} ms`);
    assert.ok(drawn < DRAWN && filtered < FILTERED, `${drawn} ms, ${filtered} ms`);
    assert.deepEqual(page.complaints, []);
    await server.stop();
  },
};

async function main() {
  mkdirSync(PICTURES, { recursive: true });
  // Root in a container has no sandbox to go into.
  const browser = await chromium.launch({ executablePath: BROWSER, args: ['--no-sandbox', '--disable-gpu'] });
  let failed = 0;
  for (const [name, test] of Object.entries(tests)) {
    const begun = Date.now();
    try {
      await test(browser);
      console.log(`ok      ${name} (${Date.now() - begun} ms)`);
    } catch (error) {
      failed += 1;
      console.log(`FAILED  ${name}\n${error.stack}`);
    }
    for (const context of browser.contexts()) await context.close();
    for (const server of Server.running) await server.stop();
  }
  await browser.close();
  process.exit(failed ? 1 : 0);
}

main();
