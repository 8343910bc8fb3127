(() => {
'use strict';

// The list of tests: increments bring those that are new or have changed.
const $ = (id) => document.getElementById(id);
const tests = new Map(); // by number: the test, and its element
const most = 200; // of those that have passed
const ended = [];
const source = new EventSource(document.documentElement.dataset.live);
let counts = { running: 0, failed: 0, passed: 0, skipped: 0 }, skew = 0, lost = 0, over = false;

// An element with a class, a text and children. Texts of tests are only ever set as texts.
function element(tag, name, text, ...children) {
	const e = document.createElement(tag);
	if (name) e.className = name;
	if (text !== undefined) e.textContent = text;
	e.append(...children);
	return e;
}

const seconds = (ms) => ms < 1000 ? `${Math.max(0, ms).toFixed(0)} ms` : ms < 60000 ? `${(ms / 1000).toFixed(1)} s` : `${Math.floor(ms / 60000)} min ${Math.floor(ms / 1000) % 60} s`;
const name = (t) => t.test || '(a test without a name)';
const where = (t) => [t.suite, t.package].filter(Boolean).join(' · ');

function item(t) {
	const link = element('a', '', name(t));
	link.href = `/test/${t.id}`;
	const title = element('p', 'title', undefined, t.state === 'passed' || t.state === 'skipped' ? element('span', '', name(t)) : link, ' ');
	if (t.attempt > 1) title.append(element('span', 'quiet', `attempt ${t.attempt}`), ' ');
	if (t.state === 'running') title.append(element('span', 'quiet time'));
	else if (t.state === 'passed' || t.state === 'skipped') title.append(element('span', 'badge', t.state), ' ', element('span', 'quiet', seconds(t.ended - t.began)));
	else title.append(element('span', 'badge bad', t.state), ' ', element('span', 'quiet', seconds(t.ended - t.began)));
	const li = element('li', '', undefined, title);
	if (where(t)) li.append(element('p', 'quiet where', where(t)));
	if (t.message) {
		const message = element('pre', '', t.message);
		message.tabIndex = 0;
		message.setAttribute('role', 'region');
		message.setAttribute('aria-label', `Message of ${name(t)}`);
		li.append(message);
	}
	return li;
}

function put(t) {
	const known = tests.get(t.id);
	const focused = known && known.li.contains(document.activeElement);
	if (known) known.li.remove();
	const li = item(t);
	tests.set(t.id, { t, li });
	if (t.state === 'running') $('running').append(li);
	else if (t.state === 'passed' || t.state === 'skipped') {
		$('ended').prepend(li); // the last one first
		ended.push(t.id);
		if (ended.length > most) {
			const id = ended.shift();
			tests.get(id).li.remove();
			tests.delete(id);
		}
	} else {
		$('failed').append(li);
		keep(t, li);
	}
	if (focused) (li.querySelector('a') || $('main')).focus({ preventScroll: true });
}

// A report is fetched at once, since nobody has it when the run is over, as far as there is room.
let room = 64 << 20;
const fetching = new Set();
async function keep(t, li) {
	if (room <= 0) return;
	const fetched = (async () => {
		const answer = await fetch(`/test/${t.id}`);
		if (!answer.ok) return;
		const report = await answer.blob();
		if ((room -= report.size) < 0) return;
		tests.get(t.id).report = URL.createObjectURL(report);
		if (over) offer(tests.get(t.id));
	})().catch(() => {});
	fetching.add(fetched);
	await fetched;
	fetching.delete(fetched);
}

// Links lead to what was fetched from now on.
function offer(known) {
	const link = known.li.querySelector('a');
	if (!link) return;
	if (known.report) link.href = known.report;
	else if (known.t.state === 'running') link.removeAttribute('href');
}

function summarize() {
	for (const n of ['running', 'failed', 'passed', 'skipped']) $(`${n}-n`).textContent = counts[n];
	$('idle').hidden = counts.running > 0;
	$('unfailed').hidden = counts.failed > 0;
	$('skipped').hidden = counts.skipped === 0;
	const older = counts.passed + counts.skipped - $('ended').children.length;
	$('older').hidden = older <= 0;
	$('older').textContent = `The last ${most}; ${older} more were before.`;
	const all = counts.running + counts.failed + counts.passed + counts.skipped;
	const text = all === 0 ? 'Nothing runs yet' : `${counts.failed} failed, ${counts.passed} passed${counts.running ? `, ${counts.running} running` : ''}`;
	$('title').textContent = text;
	document.title = `${text} · nstest`;
}

let told = 0;
function tell() {
	if (counts.failed > told) $('live').textContent = counts.failed === 1 ? 'A test has failed.' : `${counts.failed} tests have failed.`;
	told = counts.failed;
}

function tick() {
	const now = Date.now() + skew;
	for (const { t, li } of tests.values()) {
		const time = t.state === 'running' && li.querySelector('.time');
		if (time) time.textContent = seconds(now - t.began);
	}
}

source.addEventListener('message', (e) => {
	const more = JSON.parse(e.data);
	lost = 0;
	if (more.first) {
		tests.clear();
		ended.length = 0;
		for (const id of ['running', 'failed', 'ended']) $(id).replaceChildren();
	}
	skew = more.now - Date.now();
	counts = more.counts;
	for (const t of more.tests) put(t);
	summarize();
	tell();
	tick();
});

async function close(text) {
	if (over) return;
	over = true;
	await Promise.all(fetching);
	source.close();
	clearInterval(clock);
	for (const known of tests.values()) offer(known);
	$('live').textContent = text;
	document.documentElement.dataset.over = 'yes';
}
source.addEventListener('over', () => close('The run is over. The reports of what has failed were kept by this page, until it is closed.'));
source.addEventListener('error', () => {
	if (source.readyState !== EventSource.CLOSED && ++lost < 3) return;
	close('Nobody answers any more: the run is over, or was ended. This is what there was.');
});
const clock = setInterval(tick, 500);
document.documentElement.dataset.ready = 'yes';
})();
