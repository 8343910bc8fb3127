// What is wrong with a page for those who use a keyboard, a screen reader, or weak eyes: a list of sentences.
(() => {
	const wrong = [];
	const say = (what, e) => wrong.push(`${what}: <${e.tagName.toLowerCase()}${e.id ? ' id=' + e.id : ''} class="${e.className}"> ${(e.textContent || '').trim().slice(0, 60)}`);
	const all = (selector) => [...document.querySelectorAll(selector)];
	const seen = (e) => e.checkVisibility({ opacityProperty: true, visibilityProperty: true }) && e.getClientRects().length > 0;
	const refers = (e, name) => (e.getAttribute(name) || '').split(/\s+/).filter(Boolean).map((id) => document.getElementById(id));
	const named = (e) => (e.getAttribute('aria-label') || refers(e, 'aria-labelledby').map((l) => l && l.textContent).join(' ')
		|| (e.labels && [...e.labels].map((l) => l.textContent).join(' ')) || (/^(BUTTON|A|SUMMARY|CAPTION)$/.test(e.tagName) && e.textContent) || '').trim();

	for (const e of all('button, input, a, summary, canvas, [tabindex="0"], nav, aside')) if (!named(e)) say('has no name', e);
	for (const e of all('img')) if (!e.alt) say('has no alternative', e);
	for (const name of ['aria-labelledby', 'aria-describedby', 'aria-activedescendant']) {
		for (const e of all(`[${name}]`)) if (refers(e, name).includes(null)) say(`its ${name} is nowhere`, e);
	}
	const ids = new Set();
	for (const e of all('[id]')) {
		if (ids.has(e.id)) say('its id is there twice', e);
		ids.add(e.id);
	}
	for (const [selector, n] of [['main', 1], ['body > header', 1], ['body > footer', 1], ['h1', 1]]) {
		if (all(selector).length !== n) wrong.push(`there are ${all(selector).length} of ${selector}`);
	}
	let level = 0;
	for (const e of all('h1, h2, h3, h4')) {
		if (!seen(e)) continue;
		const l = Number(e.tagName[1]);
		if (l > level + 1) say('skips a level', e);
		level = l;
	}
	for (const e of all('table')) if (!e.caption || !e.querySelector('th[scope]')) say('has no caption or no heads', e);
	for (const e of all('[tabindex]')) if (Number(e.getAttribute('tabindex')) > 0) say('changes the order of the focus', e);
	for (const e of all('pre, .table, .lines, .rows')) if (seen(e) && (e.scrollHeight > e.clientHeight + 1 || e.scrollWidth > e.clientWidth + 1) && e.tabIndex < 0) say('scrolls, and a keyboard cannot', e);
	if (!document.documentElement.lang) wrong.push('the page has no language');

	const numbers = (text) => (text.match(/[\d.]+/g) || []).map(Number);
	const light = ([r, g, b]) => [r, g, b].map((v) => v / 255).map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4).reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
	const ground = (e) => {
		for (; e; e = e.parentElement) {
			const c = numbers(getComputedStyle(e).backgroundColor);
			if (c.length === 3 || c[3] === 1) return c;
		}
		return matchMedia('(prefers-color-scheme: dark)').matches ? [0, 0, 0] : [255, 255, 255];
	};
	let texts = 0;
	for (const e of all('body *')) {
		if (/^(SCRIPT|STYLE|NOSCRIPT|CANVAS)$/.test(e.tagName) || !seen(e) || ![...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim())) continue;
		const style = getComputedStyle(e);
		const [a, b] = [light(numbers(style.color)), light(ground(e))];
		const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
		texts++;
		const large = parseFloat(style.fontSize) >= 24 || parseFloat(style.fontSize) >= 18.66 && Number(style.fontWeight) >= 700;
		if (contrast < (large ? 3 : 4.5)) say(`contrast ${contrast.toFixed(2)}`, e);
		if (parseFloat(style.fontSize) < 10.5) say('is too small to read', e);
	}
	if (texts < 10) wrong.push(`only ${texts} texts were looked at`);
	if (document.documentElement.scrollWidth > innerWidth) {
		wrong.push(`the page is ${document.documentElement.scrollWidth} wide, and the window ${innerWidth}`);
		for (const e of all('body *')) if (seen(e) && e.getBoundingClientRect().right > innerWidth + 1 && !e.closest('.table, .rows, pre, nav, .drawing, .lines')) { say('is too wide', e); break; }
	}
	return wrong;
})()
