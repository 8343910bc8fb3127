(() => {
'use strict';

// The data: a column for each property of the items, by time. Times are microseconds from the beginning.
const $ = (id) => document.getElementById(id);
const data = JSON.parse($('data').textContent);
const live = document.documentElement.dataset.live; // where more comes from, of a test that runs
let count = 0, time = new Float64Array(0), last = 1;
let first = 0; // before the test began, its environment was made
const failures = [];

// Takes note of the items that are new in the columns.
function learn() {
	const from = count;
	count = data.t.length;
	if (count > time.length) {
		const more = new Float64Array(live ? 2 * count + 1000 : count);
		more.set(time.subarray(0, from));
		time = more;
	}
	for (let i = from, t = from ? time[from - 1] : 0; i < count; i++) {
		time[i] = t += data.t[i];
		if (data.k[i] === K.failure) failures.push(i);
	}
	last = Math.max(data.end, count ? time[count - 1] : 0, 1);
	first = Math.min(0, count ? time[0] : 0);
}
const kindOf = (i) => data.kinds[data.k[i]];
const hostOf = (i) => data.h[i] ? data.hosts[data.h[i] - 1] : '';
const toOf = (i) => data.o[i] ? data.hosts[data.o[i] - 1] : '';
const endOf = (i) => data.d[i] < 0 ? last : time[i] + data.d[i];
const K = Object.fromEntries(data.kinds.map((name, i) => [name, i]));
learn();

// An element with a class, a text and children. Texts of the data are only ever set as texts.
function element(tag, name, text, ...children) {
	const e = document.createElement(tag);
	if (name) e.className = name;
	if (text !== undefined) e.textContent = text;
	e.append(...children);
	return e;
}

// The text of an item on one line.
const line = (i) => data.x[i].slice(0, 400).replace(/\s*\n\s*/g, ' ↵ ');

// A moment in words, as exact as the span on screen asks for.
function clock(us, span) {
	if (span === undefined) return (us / 1e6).toFixed(4);
	if (span >= 2e6) return (us / 1e6).toFixed(span >= 2e7 ? 0 : 1) + ' s';
	if (span >= 2e3) return (us / 1e3).toFixed(span >= 2e4 ? 0 : 1) + ' ms';
	return us.toFixed(0) + ' µs';
}

function lasted(us) {
	if (us >= 1e6) return (us / 1e6).toFixed(3) + ' s';
	if (us >= 1e3) return (us / 1e3).toFixed(2) + ' ms';
	return us + ' µs';
}

// What is shown: the filters, the span of time on screen, and the selected item.
const quiet = ['packet'];
const filter = { words: [], kinds: new Set(), hosts: new Set(), only: null };
const span = { from: 0, to: last };
let shown = new Int32Array(0);
let selected = -1;
let following = ' so far', shownTo = 1;
let haystack = null;
const words = (i) => [data.x[i], hostOf(i), toOf(i), kindOf(i)].join(' ').toLowerCase();

function matches(i) {
	if (!filter.kinds.has(data.k[i])) return false;
	if (filter.hosts.size && !filter.hosts.has(data.h[i]) && !filter.hosts.has(data.o[i])) return false;
	if (filter.only && data[filter.only.column][i] !== filter.only.value) return false;
	return filter.words.every((w) => haystack[i].includes(w));
}

// amended says that the filters are as they were: items were appended, and these were amended.
function apply(amended) {
	if (filter.words.length) {
		haystack = haystack || [];
		for (let i = haystack.length; i < count; i++) haystack.push(words(i));
	}
	const list = new Int32Array(count);
	let n = 0;
	for (let i = 0; i < count; i++) if (matches(i)) list[n++] = i;
	shown = list.subarray(0, n);
	let text = n === count ? `${count} events` : `${n} of ${count} events`;
	if (filter.only) text += `, ${filter.only.label} only`;
	if (live) text += following;
	$('shown').setAttribute('aria-live', amended ? 'off' : 'polite'); // who listens is not told of every event
	$('shown').textContent = text;
	layout();
	draw();
	events.show(shown, amended);
	talk.show(shown.filter(speaks), amended);
}

// The place of an item in a list of items, or where it would be.
function place(list, i) {
	let low = 0, high = list.length;
	while (low < high) {
		const middle = (low + high) >> 1;
		if (list[middle] < i) low = middle + 1; else high = middle;
	}
	return low;
}

function select(i, from) {
	if (i < 0 || i >= count) return;
	selected = i;
	if (time[i] < span.from || time[i] > span.to) {
		const width = span.to - span.from;
		zoom(time[i] - width / 2, time[i] + width / 2);
	}
	if (from !== events) events.select(i);
	if (from !== talk) talk.select(i);
	detail(i);
	reach(i);
	draw();
	if (from === canvas) $('said').textContent = `${clock(time[i])} s, ${hostOf(i)} ${kindOf(i)}: ${data.x[i].slice(0, 200)}`;
}

// Shows an item whatever the filters are, and takes the focus to it.
function reveal(i, where) {
	if (!matches(i)) {
		filter.kinds.add(data.k[i]);
		filter.only = null;
		if (!matches(i)) reset();
		filter.kinds.add(data.k[i]);
		controls();
		apply();
	}
	select(i);
	(where || $('timeline')).scrollIntoView({ block: 'start' });
	(where ? $('sequence') : $('events')).focus({ preventScroll: true });
}

function reset() {
	filter.words = [];
	filter.kinds = new Set(data.kinds.map((name, k) => k).filter((k) => !quiet.includes(data.kinds[k])));
	filter.hosts = new Set();
	filter.only = null;
	$('search').value = '';
}

// A list of items of which only the rows on screen are in the document.
class Rows {
	constructor(box, height, top, render, label) {
		Object.assign(this, { box, height, top, render, label, list: [], rows: new Map(), free: [], active: -1 });
		this.fill = element('div', 'fill');
		this.fill.setAttribute('role', 'presentation');
		this.body = element('div');
		this.body.setAttribute('role', 'rowgroup');
		box.append(this.fill, this.body);
		box.addEventListener('scroll', () => this.paint(), { passive: true });
		box.addEventListener('keydown', (e) => this.key(e));
		box.addEventListener('click', (e) => {
			const row = e.target.closest('[data-at]');
			if (row) this.choose(Number(row.dataset.at));
		});
		new ResizeObserver(() => this.paint()).observe(box);
	}
	show(list, amended) {
		const bottom = this.box.scrollTop > 0 && this.box.scrollTop + this.box.clientHeight >= this.list.length * this.height + this.top - this.height;
		const before = this.list;
		this.list = list;
		this.fill.style.height = `${list.length * this.height}px`;
		this.box.setAttribute('aria-rowcount', list.length);
		for (const [at, row] of this.rows) {
			if (amended && list[at] === before[at] && !amended.has(list[at])) continue;
			this.drop(row);
			this.rows.delete(at);
		}
		if (!amended) this.select(selected, true);
		else {
			const at = place(list, selected);
			this.active = list[at] === selected ? at : -1;
		}
		if (amended && bottom) this.box.scrollTop = list.length * this.height; // who reads the end sees what is new
		this.paint();
	}
	drop(row) {
		row.remove();
		if (this.free.length < 100) this.free.push(row);
	}
	paint() {
		const from = Math.max(0, Math.floor(this.box.scrollTop / this.height) - 8);
		const to = Math.min(this.list.length, Math.ceil((this.box.scrollTop + this.box.clientHeight) / this.height) + 8);
		for (const [at, row] of this.rows) {
			if (at < from || at >= to) {
				this.drop(row);
				this.rows.delete(at);
			}
		}
		for (let at = from; at < to; at++) {
			let row = this.rows.get(at);
			if (!row) {
				row = this.free.pop() || element('div');
				row.replaceChildren();
				row.className = 'row';
				row.style.top = `${this.top + at * this.height}px`;
				row.id = `${this.box.id}-${at}`;
				row.dataset.at = at;
				row.setAttribute('role', 'row');
				row.setAttribute('aria-rowindex', at + 1);
				this.render(row, this.list[at]);
				this.rows.set(at, row);
				this.body.append(row);
			}
			row.setAttribute('aria-selected', at === this.active);
		}
		if (this.rows.has(this.active)) this.box.setAttribute('aria-activedescendant', `${this.box.id}-${this.active}`);
		else this.box.removeAttribute('aria-activedescendant');
	}
	select(i, still) {
		const at = place(this.list, i);
		this.active = this.list[at] === i ? at : -1;
		if (i >= 0 && !(still && this.active < 0)) {
			const y = at * this.height, room = this.box.clientHeight - this.top - this.height;
			if (y < this.box.scrollTop || y > this.box.scrollTop + room) this.box.scrollTop = y - room / 2;
		}
		this.paint();
	}
	choose(at) {
		if (!this.list.length) return;
		at = Math.max(0, Math.min(this.list.length - 1, at));
		this.active = at;
		this.select(this.list[at]);
		select(this.list[at], this);
	}
	key(e) {
		const page = Math.max(1, Math.floor(this.box.clientHeight / this.height) - 2);
		const at = this.active < 0 ? place(this.list, selected) - 1 : this.active;
		const to = { ArrowDown: at + 1, ArrowUp: at - 1, PageDown: at + page, PageUp: at - page, Home: 0, End: this.list.length - 1 }[e.key];
		if (e.key === 'Enter' && selected >= 0) $('detail').focus();
		else if (to === undefined || e.ctrlKey || e.metaKey || e.altKey) return;
		else this.choose(to);
		e.preventDefault();
	}
}

function cell(name, text) {
	const c = element('span', name, text);
	c.setAttribute('role', 'gridcell');
	return c;
}

const events = new Rows($('events'), 24, 0, (row, i) => {
	row.classList.add(`l${data.l[i]}`);
	const to = toOf(i);
	row.append(cell('t', clock(time[i])), cell('h', to && to !== hostOf(i) ? `${hostOf(i)} → ${to}` : hostOf(i)), cell('k', kindOf(i)), cell('x', line(i)));
});

// The conversation: a column for each host that says or hears something, a row for what is said.
const speaking = new Set(['tcp', 'http', 'tls', 'dns', 'icmp'].map((k) => K[k]));
const across = new Set(['failure', 'fault', 'link'].map((k) => K[k]));
const speaks = (i) => speaking.has(data.k[i]) && (data.h[i] || data.o[i]) || across.has(data.k[i]) || data.k[i] === K.process && data.l[i] > 0;
const column = new Map();
let listened = 0; // how many items are in it
function listen() {
	const before = column.size;
	for (; listened < count; listened++) if (speaking.has(data.k[listened])) for (const h of [data.h[listened], data.o[listened]]) if (h) column.set(h, 0);
	if (column.size === before) return false;
	[...column.keys()].sort((a, b) => a - b).forEach((h, n) => column.set(h, n));
	return true;
}
listen();
const narrow = matchMedia('(max-width: 600px)');
const columnWidth = () => Math.max(narrow.matches ? 110 : 150, Math.min(340, ($('sequence').clientWidth - 110) / Math.max(1, column.size)));
const columnAt = (h) => 100 + columnWidth() * ((column.get(h) || 0) + 0.5);

const talk = new Rows($('sequence'), 32, 28, (row, i) => {
	const width = columnWidth();
	row.style.width = `${100 + width * column.size}px`;
	row.append(cell('t', clock(time[i])));
	const said = cell('said', line(i));
	const from = data.h[i], to = data.o[i];
	let left = 100, right = 100 + width * column.size;
	const arrow = element('div', 'arrow');
	if (across.has(data.k[i]) || !column.has(from)) {
		arrow.classList.add('self');
	} else if (!column.has(to) || to === from) {
		arrow.classList.add('self');
		left = columnAt(from) - width / 2 + 6;
		right = columnAt(from) + width / 2 - 6;
	} else {
		left = Math.min(columnAt(from), columnAt(to));
		right = Math.max(columnAt(from), columnAt(to));
		arrow.classList.add(columnAt(from) < columnAt(to) ? 'right' : 'left');
	}
	row.classList.add(`l${data.l[i]}`);
	said.setAttribute('aria-label', `${hostOf(i)}${toOf(i) ? ' to ' + toOf(i) : ''}: ${data.x[i].slice(0, 200)}`);
	said.style.left = `${left}px`;
	said.style.width = `${right - left}px`;
	if (data.x[i].endsWith('(lost)')) { // it comes half the way
		arrow.classList.add('lost');
		if (arrow.classList.contains('right')) right = (left + 2 * right) / 3; else left = (2 * left + right) / 3;
	}
	arrow.style.left = `${left}px`;
	arrow.style.width = `${right - left}px`;
	said.style.color = arrow.style.color = data.l[i] === 2 ? 'var(--bad)' : colour(i);
	row.append(arrow, said);
});

const sequenceHead = element('div', 'head');
sequenceHead.setAttribute('aria-hidden', 'true');
$('sequence').prepend(sequenceHead);

function columns() {
	sequenceHead.replaceChildren();
	sequenceHead.style.width = talk.fill.style.width = `${100 + columnWidth() * column.size}px`;
	for (const old of talk.fill.querySelectorAll('.life')) old.remove();
	talk.fill.style.position = 'relative';
	for (const h of column.keys()) {
		const name = element('span', '', data.hosts[h - 1]);
		name.title = data.hosts[h - 1];
		name.style.left = `${columnAt(h)}px`;
		sequenceHead.append(name);
		const life = element('i', 'life');
		life.style.left = `${columnAt(h)}px`;
		talk.fill.append(life);
	}
}

// The timeline. A row of it has bars that do not overlap, or ticks; the last row of a lane's bars has what is left.
const canvas = $('canvas'), scene = $('scene'), stage = $('stage'), pen = canvas.getContext('2d');
const axis = 24, most = 8;
let gutter = 128, room = 1; // where times begin, and how much of the canvas they have
let rows = [], lanes = [], total = 0, rowOf = new Int32Array(count), colours = {}, scale = 1;

const colour = (i) => `var(--${kindOf(i) === 'link' ? 'link-kind' : kindOf(i)})`;

// Which part of a lane an item is in: bars come before ticks.
const bars = { node: 0, step: 1, fault: 0, process: 0, connection: 1 };
const ticks = { failure: 2, note: 2, link: 2, host: 2, log: 3, dns: 4, http: 4, tls: 4, tcp: 4, icmp: 4, packet: 5 };

function layout() {
	const found = new Map();
	for (const i of shown) {
		const kind = kindOf(i);
		let lane = data.h[i] ? 2 + data.h[i] : 0;
		if (kind === 'failure' || kind === 'node' || kind === 'step') lane = 0;
		else if (kind === 'fault') lane = 1;
		if (!found.has(lane)) found.set(lane, new Map());
		const ended = kind === 'process' && data.d[i] === 0;
		const part = kind in bars && !ended ? bars[kind] : ended ? 2 : ticks[kind];
		const parts = found.get(lane);
		if (!parts.has(part)) parts.set(part, []);
		parts.get(part).push(i);
	}
	rows = [];
	lanes = [];
	if (rowOf.length < count) rowOf = new Int32Array(2 * count);
	let y = axis;
	for (const lane of [...found.keys()].sort((a, b) => a - b)) {
		const top = y += 5;
		const parts = found.get(lane);
		for (const part of [...parts.keys()].sort((a, b) => a - b)) {
			const list = parts.get(part);
			const packed = part < 2 ? pack(list) : [list];
			for (const items of packed) {
				const height = part < 2 ? 15 : 11;
				rows.push({ y, height, items, bars: part < 2, loose: part < 2 && packed.length === most && items === packed[most - 1] });
				for (const i of items) rowOf[i] = rows.length - 1;
				y += height;
			}
		}
		y += 4;
		lanes.push({ top, bottom: y, name: lane === 0 ? 'test' : lane === 1 ? 'faults' : data.hosts[lane - 3], host: lane > 1 });
	}
	total = y + 4;
}

// Distributes bars to rows in which they do not overlap.
function pack(list) {
	const out = [], ends = [];
	const gap = last / 2000;
	for (const i of list) {
		let r = ends.findIndex((end) => end <= time[i]);
		if (r < 0) r = Math.min(ends.length, most - 1);
		if (!out[r]) out[r] = [];
		out[r].push(i);
		ends[r] = Math.max(ends[r] || 0, endOf(i) + gap);
	}
	return out;
}

function palette() {
	const style = getComputedStyle(document.documentElement);
	for (const name of ['ground', 'raised', 'line', 'text', 'quiet', 'bad', 'odd', 'select', 'focus', 'link-kind', 'mono', 'sans', ...data.kinds]) {
		colours[name] = style.getPropertyValue('--' + name).trim();
	}
}

const paint = (i) => data.l[i] === 2 ? colours.bad : colours[kindOf(i) === 'link' ? 'link-kind' : kindOf(i)];
const x = (t) => gutter + (t - span.from) / (span.to - span.from) * room;
const at = (px) => span.from + (px - gutter) / room * (span.to - span.from);

let waiting = false;
function draw() {
	if (waiting) return;
	waiting = true;
	requestAnimationFrame(() => { waiting = false; render(); });
}

function render() {
	const width = scene.clientWidth, height = Math.max(80, Math.min(total, 544));
	gutter = narrow.matches ? 64 : 128;
	room = Math.max(1, width - gutter - 8);
	stage.style.height = `${Math.max(total, height)}px`;
	scale = devicePixelRatio || 1;
	if (canvas.width !== Math.round(width * scale) || canvas.height !== Math.round(height * scale)) {
		canvas.width = Math.round(width * scale);
		canvas.height = Math.round(height * scale);
		canvas.style.height = `${height}px`;
	}
	pen.setTransform(scale, 0, 0, scale, 0, 0);
	pen.clearRect(0, 0, width, height);
	pen.textBaseline = 'middle';
	const up = scene.scrollTop;
	const step = grid(width, height);
	for (const lane of lanes) drawLane(lane, up, width, height);
	pen.save();
	pen.beginPath();
	pen.rect(gutter, 0, width - gutter, height);
	pen.clip();
	for (const row of rows) if (row.y - up + row.height > axis && row.y - up < height) drawRow(row, up, width);
	drawFailures(height);
	drawSelected(up, height);
	pen.restore();
	drawAxis(width, step);
	drawDrag(height);
}

// The distance of the lines of the grid: a round number that leaves room for the texts.
function grid(width, height) {
	const wanted = (span.to - span.from) / Math.max(2, (width - gutter) / 110);
	const ten = 10 ** Math.floor(Math.log10(Math.max(1, wanted)));
	const step = [1, 2, 5, 10].map((n) => n * ten).find((n) => n >= wanted) || ten * 10;
	pen.fillStyle = colours.line;
	for (let t = Math.ceil(span.from / step) * step; t <= span.to; t += step) pen.fillRect(Math.round(x(t)), axis, 1, height);
	return step;
}

function drawAxis(width, step) {
	pen.fillStyle = colours.ground;
	pen.fillRect(0, 0, width, axis);
	pen.fillStyle = colours.line;
	pen.fillRect(0, axis - 1, width, 1);
	pen.font = `11px ${colours.sans}`;
	pen.fillStyle = colours.quiet;
	for (let t = Math.ceil(span.from / step) * step; t <= span.to; t += step) {
		const text = clock(t, step * 4), left = Math.round(x(t)) + 4;
		if (left + pen.measureText(text).width < width) pen.fillText(text, left, axis / 2);
	}
}

function drawLane(lane, up, width, height) {
	const top = lane.top - up, bottom = lane.bottom - up;
	if (bottom < axis || top > height) return;
	pen.fillStyle = colours.line;
	pen.fillRect(0, bottom, width, 1);
	pen.save();
	pen.beginPath();
	pen.rect(0, axis, gutter - 8, height);
	pen.clip();
	pen.fillStyle = lane.host ? colours.text : colours.quiet;
	pen.font = `${lane.host ? 600 : 400} 12px ${colours.sans}`;
	pen.fillText(lane.name, 10, Math.max(top, axis) + 9);
	pen.restore();
}

function drawRow(row, up, width) {
	const y = row.y - up, edge = width;
	let from = row.loose ? 0 : Math.max(0, firstAfter(row.items, span.from) - 1);
	if (row.bars) {
		let until = -Infinity;
		for (let n = from; n < row.items.length; n++) {
			const i = row.items[n];
			if (time[i] > span.to) break;
			const left = Math.max(gutter - 4, x(time[i])), right = Math.min(edge, x(endOf(i)));
			if (right < gutter || right < until - 0.5) continue;
			const wide = Math.max(2, right - left);
			until = left + wide;
			pen.fillStyle = paint(i);
			pen.globalAlpha = 0.22;
			pen.fillRect(left, y + 1, wide, row.height - 2);
			pen.globalAlpha = 1;
			pen.fillRect(left, y + 1, 2, row.height - 2);
			if (wide > 36) {
				pen.save();
				pen.beginPath();
				pen.rect(left, y, wide - 2, row.height);
				pen.clip();
				pen.fillStyle = data.l[i] === 2 ? colours.bad : colours.text;
				pen.font = `11px ${colours.sans}`;
				pen.fillText(line(i).slice(0, 120), left + 6, y + row.height / 2 + 0.5);
				pen.restore();
			}
		}
		return;
	}
	let done = -1, level = -1;
	for (let n = from; n < row.items.length; n++) {
		const i = row.items[n];
		if (time[i] > span.to) break;
		const px = Math.round(x(time[i]));
		if (px < gutter || px === done && data.l[i] <= level) continue;
		done = px;
		level = data.l[i];
		pen.fillStyle = paint(i);
		pen.fillRect(px, y + 1, level === 2 ? 3 : 2, row.height - 3);
	}
}

function firstAfter(items, t) {
	let low = 0, high = items.length;
	while (low < high) {
		const middle = (low + high) >> 1;
		if (time[items[middle]] < t) low = middle + 1; else high = middle;
	}
	return low;
}

function drawFailures(height) {
	pen.fillStyle = colours.bad;
	for (const i of failures) {
		const px = Math.round(x(time[i]));
		pen.fillRect(px, axis, 1, height);
	}
}

function drawSelected(up, height) {
	if (selected < 0) return;
	const px = Math.round(x(time[selected]));
	pen.fillStyle = colours.focus;
	pen.fillRect(px, axis, 1, height);
	if (!matches(selected)) return;
	const row = rows[rowOf[selected]];
	if (!row) return;
	pen.strokeStyle = colours.focus;
	pen.lineWidth = 2;
	const wide = row.bars ? Math.max(6, x(endOf(selected)) - px + 2) : 8;
	pen.strokeRect(px - (row.bars ? 1 : 3), row.y - up, wide, row.height);
}

let drag = null;
function drawDrag(height) {
	if (!drag || Math.abs(drag.to - drag.from) < 4) return;
	pen.fillStyle = colours.focus;
	pen.globalAlpha = 0.15;
	pen.fillRect(Math.min(drag.from, drag.to), axis, Math.abs(drag.to - drag.from), height);
	pen.globalAlpha = 1;
}

function zoom(from, to) {
	const width = Math.max(20, Math.min((last - first) * 1.02, to - from));
	const middle = (from + to) / 2;
	span.from = Math.max(first - (last - first) * 0.005, Math.min(last + (last - first) * 0.015 - width, middle - width / 2));
	span.to = span.from + width;
	draw();
}

const focusTime = () => selected >= 0 && time[selected] >= span.from && time[selected] <= span.to ? time[selected] : (span.from + span.to) / 2;
function zoomBy(factor, around) {
	const width = (span.to - span.from) * factor;
	const part = (around - span.from) / (span.to - span.from);
	zoom(around - width * part, around - width * part + width);
}
const zoomTest = () => zoom(-last * 0.005, last * 1.015);
const zoomAll = () => zoom(first - (last - first) * 0.005, last + (last - first) * 0.015);
function zoomFailure() {
	if (!failures.length) return;
	const t = time[failures[0]];
	zoom(t - Math.max(1000, last * 0.02), t + Math.max(300, last * 0.005));
	select(failures[0], canvas);
}

// Scrolls the timeline to the row of an item.
function reach(i) {
	const row = matches(i) && rows[rowOf[i]];
	if (!row) return;
	if (row.y - axis < scene.scrollTop) scene.scrollTop = row.y - axis - 8;
	else if (row.y + row.height > scene.scrollTop + scene.clientHeight) scene.scrollTop = row.y + row.height - scene.clientHeight + 8;
}

// The item at a point of the canvas: in its row, and near.
function hit(px, py) {
	const y = py + scene.scrollTop;
	const row = rows.find((r) => y >= r.y && y < r.y + r.height);
	if (!row || px < gutter || py < axis) return -1;
	const t = at(px), near = at(px + 5) - t;
	let best = -1, distance = Infinity;
	for (let n = row.loose ? 0 : Math.max(0, firstAfter(row.items, t - near) - 1); n < row.items.length; n++) {
		const i = row.items[n];
		if (time[i] > t + near) break;
		const d = row.bars && time[i] <= t && endOf(i) >= t ? 0 : Math.min(Math.abs(time[i] - t), row.bars ? Math.abs(endOf(i) - t) : Infinity);
		if (d <= near && d <= distance) { best = i; distance = d; }
	}
	return best;
}

canvas.addEventListener('pointerdown', (e) => {
	if (e.button !== 0 || e.pointerType === 'touch') return;
	drag = { from: e.offsetX, to: e.offsetX };
	canvas.setPointerCapture(e.pointerId);
});
canvas.addEventListener('pointermove', (e) => {
	if (drag) {
		drag.to = e.offsetX;
		draw();
	}
	const i = drag ? -1 : hit(e.offsetX, e.offsetY), tip = $('tip');
	tip.hidden = i < 0;
	if (i < 0) return;
	tip.textContent = `${clock(time[i])} s  ${kindOf(i)}  ${data.x[i].slice(0, 300)}`;
	tip.style.left = `${Math.min(e.clientX + 12, innerWidth - 320)}px`;
	tip.style.top = `${e.clientY + 16}px`;
});
canvas.addEventListener('pointerleave', () => { $('tip').hidden = true; });
canvas.addEventListener('pointerup', (e) => {
	const d = drag;
	drag = null;
	if (d && Math.abs(d.to - d.from) >= 4) zoom(at(Math.min(d.from, d.to)), at(Math.max(d.from, d.to)));
	else {
		const i = hit(e.offsetX, e.offsetY);
		if (i >= 0) select(i, canvas);
	}
	draw();
});
canvas.addEventListener('dblclick', zoomAll);
canvas.addEventListener('wheel', (e) => {
	if (e.ctrlKey || e.metaKey) zoomBy(e.deltaY > 0 ? 1.25 : 0.8, at(e.offsetX));
	else if (e.shiftKey || Math.abs(e.deltaX) > Math.abs(e.deltaY)) {
		const by = (e.deltaX || e.deltaY) / canvas.clientWidth * (span.to - span.from);
		zoom(span.from + by, span.to + by);
	} else return;
	e.preventDefault();
}, { passive: false });

function stepRow(by) {
	if (selected < 0 || !matches(selected)) return select(shown[0], canvas);
	for (let r = rowOf[selected] + by; r >= 0 && r < rows.length; r += by) {
		const n = firstAfter(rows[r].items, time[selected]);
		const pair = [rows[r].items[n - 1], rows[r].items[n]].filter((i) => i !== undefined);
		pair.sort((a, b) => Math.abs(time[a] - time[selected]) - Math.abs(time[b] - time[selected]));
		if (pair.length) return select(pair[0], canvas);
	}
}

canvas.addEventListener('keydown', (e) => {
	if (e.ctrlKey || e.metaKey || e.altKey || !shown.length) return;
	const width = span.to - span.from;
	const here = place(shown, selected);
	const step = (by) => select(shown[Math.max(0, Math.min(shown.length - 1, selected < 0 ? 0 : here + by))], canvas);
	switch (e.key) {
	case 'ArrowRight': if (e.shiftKey) zoom(span.from + width / 5, span.to + width / 5); else step(shown[here] === selected ? 1 : 0); break;
	case 'ArrowLeft': if (e.shiftKey) zoom(span.from - width / 5, span.to - width / 5); else step(-1); break;
	case 'ArrowDown': stepRow(1); break;
	case 'ArrowUp': stepRow(-1); break;
	case 'Home': select(shown[0], canvas); break;
	case 'End': select(shown[shown.length - 1], canvas); break;
	case '+': case '=': zoomBy(0.5, focusTime()); break;
	case '-': case '_': zoomBy(2, focusTime()); break;
	case '0': zoomAll(); break;
	case 'f': zoomFailure(); break;
	case 'Enter': $('detail').focus(); break;
	default: return;
	}
	e.preventDefault();
});

// Everything about an item, and the ways from it.
function find(column, value, kind) {
	for (let i = 0; i < count; i++) if (data[column][i] === value && (kind === undefined || data.k[i] === kind)) return i;
	return -1;
}

function detail(i) {
	const box = $('detail'), list = element('dl');
	const add = (name, value) => { if (value) list.append(element('dt', '', name), element('dd', '', String(value))); };
	add('time', `${clock(time[i])} s`);
	add('clock', new Date(Date.parse(data.begin) + time[i] / 1e3).toISOString().slice(11, 23));
	if (data.d[i]) add('took', data.d[i] < 0 ? 'until the end' : lasted(data.d[i]));
	add('kind', kindOf(i));
	add(toOf(i) ? 'from' : 'host', hostOf(i));
	add('to', toOf(i));
	add('process', data.p[i]);
	add('connection', data.c[i]);
	for (const [name, value] of data.facts[i] || []) add(name, value);
	if (data.n[i]) add('in Wireshark', `frame.number == ${data.n[i]}`);
	const go = element('div', 'go');
	const way = (text, f) => {
		const b = element('button', '', text);
		b.type = 'button';
		b.addEventListener('click', f);
		go.append(b);
	};
	const to = (text, target) => { if (target >= 0 && target !== i) way(text, () => reveal(target)); };
	if (data.p[i]) {
		to('Its process', find('p', data.p[i], K.process));
		if (find('p', data.p[i], K.log) >= 0) {
			way('All its lines', () => narrowTo('p', data.p[i], `process ${data.p[i]}`, [K.log]));
			if ($(`log-${data.p[i]}`)) way('In the logs', () => open(`log-${data.p[i]}`, i));
		}
	}
	if (data.n[i]) to('Its packet', find('n', data.n[i], K.packet));
	if (data.c[i]) {
		to('Its connection', find('c', data.c[i], K.connection));
		way('All its packets', () => narrowTo('c', data.c[i], `connection ${data.c[i]}`, [K.connection, K.tcp, K.http, K.tls, K.packet]));
	}
	if (data.f[i]) to('Its fault', find('f', data.f[i], K.fault));
	if (speaks(i)) way('In the conversation', () => reveal(i, $('conversation')));
	box.replaceChildren(element('h3', '', data.x[i]), list, go);
}

// Shows what belongs together, and nothing else.
function narrowTo(column, value, label, kinds) {
	reset();
	filter.only = { column, value, label };
	filter.kinds = new Set(kinds);
	controls();
	apply();
	$('events').focus({ preventScroll: true });
}

// Opens what hides an element, and takes the focus there.
function open(id, i) {
	const target = $(id);
	if (!target) return false;
	for (let e = target; e; e = e.parentElement) if (e.tagName === 'DETAILS') e.open = true;
	let spot = target;
	if (i !== undefined) {
		const line = target.querySelector(`a[href="#item-${i}"]`);
		if (line) spot = line;
	}
	spot.scrollIntoView({ block: i === undefined ? 'start' : 'center' });
	const focusable = spot.matches('a,summary') ? spot : spot.closest('[tabindex]') || spot.querySelector('summary');
	if (focusable) focusable.focus({ preventScroll: true });
	return true;
}

function follow(hash) {
	const item = /^#item-(\d+)$/.exec(hash);
	if (item && Number(item[1]) < count) reveal(Number(item[1]));
	else if (/^#(state|log)-/.test(hash)) open(hash.slice(1));
	else return false;
	return true;
}
document.addEventListener('click', (e) => {
	const link = e.target.closest('a[href^="#"]');
	if (!link || e.ctrlKey || e.metaKey || e.shiftKey) return;
	if (follow(link.getAttribute('href'))) {
		e.preventDefault();
		history.pushState(null, '', link.getAttribute('href'));
	}
});
addEventListener('popstate', () => follow(location.hash));

for (const button of document.querySelectorAll('[data-copy]')) {
	button.addEventListener('click', async () => {
		const source = $(button.dataset.copy);
		try {
			await navigator.clipboard.writeText(source.textContent);
			button.textContent = 'Copied';
		} catch {
			getSelection().selectAllChildren(source);
			button.textContent = 'Selected';
		}
		setTimeout(() => { button.textContent = 'Copy'; }, 2000);
	});
}

// The controls of the filters.
const boxes = [];
function chip(parent, text, set, value, swatch) {
	const box = element('input');
	box.type = 'checkbox';
	box.addEventListener('change', () => {
		if (box.checked) set().add(value); else set().delete(value);
		apply();
	});
	boxes.push(() => { box.checked = set().has(value); });
	const label = element('label', '', undefined, box);
	if (swatch) {
		const s = element('i', 'swatch');
		s.style.background = swatch;
		label.append(s);
	}
	label.append(text);
	parent.append(label);
	return label;
}
function controls() { for (const set of boxes) set(); }

// A box for each kind and host of which there is an item, in their order.
const perKind = new Array(data.kinds.length).fill(0);
const present = new Set();
const chips = { kinds: [], hosts: [] };
let sorted = 0; // how many items are counted
function sort() {
	for (; sorted < count; sorted++) {
		perKind[data.k[sorted]]++;
		if (data.h[sorted]) present.add(data.h[sorted]);
	}
	data.kinds.forEach((name, k) => {
		if (!perKind[k]) return;
		if (!chips.kinds[k]) {
			const label = chip($('kinds'), name, () => filter.kinds, k, `var(--${name === 'link' ? 'link-kind' : name})`);
			label.append(' ', element('span', 'count'));
			chips.kinds[k] = inOrder(chips.kinds, k, label);
		}
		const counted = chips.kinds[k].querySelector('.count');
		if (counted.textContent !== String(perKind[k])) counted.textContent = perKind[k];
	});
	data.hosts.forEach((name, h) => {
		if (present.has(h + 1) && !chips.hosts[h]) chips.hosts[h] = inOrder(chips.hosts, h, chip($('hosts'), name, () => filter.hosts, h + 1));
	});
}

// Puts a label before the first one of those after it.
function inOrder(list, at, label) {
	const next = list.find((other, n) => n > at && other);
	if (next) next.before(label);
	return label;
}

let typing = 0;
$('search').addEventListener('input', () => {
	clearTimeout(typing);
	typing = setTimeout(() => {
		filter.words = $('search').value.toLowerCase().split(/\s+/).filter(Boolean);
		apply();
	}, 120);
});
$('clear').addEventListener('click', () => { reset(); controls(); apply(); });
$('zoom-in').addEventListener('click', () => zoomBy(0.5, focusTime()));
$('zoom-out').addEventListener('click', () => zoomBy(2, focusTime()));
$('zoom-fit').addEventListener('click', zoomAll);
$('zoom-fail').addEventListener('click', zoomFailure);
scene.addEventListener('scroll', draw, { passive: true });
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => { palette(); draw(); });
new ResizeObserver(() => { columns(); draw(); }).observe(scene);

// Shows the parts for which there is anything.
function unfold() {
	$('tool').hidden = !count;
	$('talk').hidden = column.size === 0;
	$('silence').hidden = column.size > 0 || Boolean(live);
	$('zoom-fail').hidden = !failures.length;
}

unfold();
palette();
reset();
sort();
controls();
zoomTest();
columns();
apply();
if (failures.length) select(failures[0]);
follow(location.hash);
if (live) watch();
document.documentElement.dataset.ready = 'yes';

// A test that runs: increments come until it is over.
function watch() {
	let source, ended = false;
	const amended = new Set();
	let lost = 0, due = 0, took = 0;
	const status = (text) => { $('live').textContent = text; };
	const message = (e) => {
		lost = 0;
		grow(JSON.parse(e.data), amended);
		if (!due) due = setTimeout(refresh, Math.max(100, 4 * took));
	};
	function refresh() {
		const began = performance.now();
		due = 0;
		const whole = span.to >= shownTo && span.from <= 0; // who sees everything goes on to
		const several = listen();
		sort();
		controls();
		unfold();
		if (whole && first < 0 && span.from <= first) zoomAll();
		else if (whole) zoomTest();
		shownTo = last;
		if (several) columns();
		apply(amended);
		if (amended.has(selected) && !$('detail').contains(document.activeElement)) detail(selected);
		amended.clear();
		took = performance.now() - began;
	}
	const over = (e) => {
		end();
		const state = JSON.parse(e.data);
		if (state.report) {
			location.reload(); // it is the report now
			return;
		}
		following = '';
		if (due) clearTimeout(due);
		refresh();
		status(state.text);
	};
	const error = () => {
		if (source.readyState !== EventSource.CLOSED && ++lost < 3) return;
		end();
		following = '';
		refresh();
		status('The run is over, or was ended: nothing more comes. This is what there was.');
	};
	function end() {
		ended = true;
		source.close();
	}
	function begin() { // what comes begins with everything
		source = new EventSource(live);
		source.addEventListener('message', message);
		source.addEventListener('over', over);
		source.addEventListener('error', error);
	}
	// A browser has six connections to a server, for all pages together: those that nobody sees have none.
	document.addEventListener('visibilitychange', () => {
		if (ended) return;
		if (document.hidden) source.close();
		else if (source.readyState === EventSource.CLOSED) begin();
	});
	begin();
}

// Takes an increment into the columns.
function grow(more, amended) {
	if (more.first) {
		for (const c of ['t', 'd', 'k', 'l', 'h', 'o', 'x', 'p', 'c', 'n', 'f']) data[c] = [];
		Object.assign(data, { facts: {}, hosts: [], begin: more.begin });
		count = listened = sorted = failures.length = 0;
		haystack = null;
		perKind.fill(0);
		present.clear();
	}
	const told = failures.length;
	for (const h of more.hosts) data.hosts.push(h);
	for (const c of ['t', 'd', 'k', 'l', 'h', 'o', 'x', 'p', 'c', 'n', 'f']) for (const v of more[c]) data[c].push(v);
	Object.assign(data.facts, more.facts);
	data.end = Math.max(data.end, more.end);
	for (const [at, to] of Object.entries(more.amended || {})) {
		const i = Number(at);
		data.d[i] = to.d;
		data.l[i] = to.l;
		if (to.facts) data.facts[i] = to.facts;
		amended.add(i);
	}
	learn();
	if (failures.length > told) $('said').textContent = `It has failed: ${data.x[failures[told]].slice(0, 300)}`;
}
})();
