/* The page of naan review: lists of clusters, or of pairs of them, and what was decided. All that counts is on the server. */
const pageSize = 10;
const words = {
  accept: 'accepted',
  reject: 'rejected',
  split: 'rows split off',
  name: 'named',
  merge: 'merged',
  apart: 'different',
};
const at = (id) => document.getElementById(id);
const count = (value) => value.toLocaleString('en-US');

let list = 'clusters';
let from = 0;
let total = 0;
let state;
let version = -1;
/** Decisions of this window, for undo. */
const own = [];

async function ask(path, body) {
  const options = body && {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  };
  let response;
  try {
    response = await fetch(path, options);
  } catch {
    throw new Error(
      'naan review does not answer: start it again and open the address that it prints. Nothing that was confirmed is lost.',
    );
  }
  if (!response.ok) throw new Error(await response.text());
  return response.json();
}

function element(name, properties = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (key in made) made[key] = value;
    else made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child !== undefined));
  return made;
}

function rowButton({ row, name }, isMarked) {
  const shown = state.hasImages ? element('img', { src: `image/${row}`, alt: name, loading: 'lazy' }) : name;
  const button = element('button', { type: 'button', title: name, 'aria-pressed': String(isMarked) }, shown);
  button.dataset.row = row;
  // An item without an image is still a name.
  if (shown instanceof Element) shown.addEventListener('error', () => button.replaceChildren(name));
  return button;
}

function side(one, { marks }) {
  const facts = [`${count(one.size)} ${one.size === 1 ? 'row' : 'rows'}`];
  if (one.trust !== undefined) facts.push(`trust ${one.trust.toFixed(3)}`);
  if (one.weakestJoin !== undefined) facts.push(`weakest join ${one.weakestJoin.toFixed(3)}`);
  if (one.action) facts.push(words[one.action] + (one.name === undefined ? '' : `: ${one.name}`));
  const rows = element('div', { className: 'rows' });
  rows.append(...one.rows.map((row, i) => rowButton(row, marks && one.loosestFirst && i === 0 && !one.action)));
  const made = element(
    'section',
    {},
    element('h3', {}, `Cluster ${one.cluster}`),
    element('p', { className: 'quiet' }, facts.join(', ')),
    rows,
  );
  if (one.size > one.rows.length) {
    const more = element('button', { type: 'button' }, `Show more of ${count(one.size)}`);
    let shown = one.rows.length;
    more.addEventListener('click', async () => {
      const { rows: others } = await ask(`rows?cluster=${one.cluster}&from=${shown}&count=200`);
      rows.append(...others.map((row) => rowButton(row, false)));
      shown += others.length;
      if (shown >= one.size || others.length === 0) more.remove();
    });
    made.append(more);
  }
  return made;
}

function action(key, label, name, isDisabled) {
  const button = element('button', { type: 'button', disabled: isDisabled }, element('kbd', {}, key), ` ${label}`);
  button.dataset.action = name;
  return button;
}

function card(entry, index) {
  const isPair = entry.sides !== undefined;
  const sides = isPair ? entry.sides : [entry];
  const judged = entry.action;
  const title = isPair ? `Clusters ${sides[0].cluster} and ${sides[1].cluster}` : `Cluster ${entry.cluster}`;
  const made = element('article', { tabIndex: -1, 'aria-label': title, className: judged ? 'judged' : '' });
  made.dataset.index = index;
  made.entry = entry;
  if (isPair) made.append(element('p', { className: 'quiet' }, `best score between them ${entry.score.toFixed(3)}`));
  made.append(element('div', { className: 'sides' }, ...sides.map((one) => side(one, { marks: !isPair }))));
  if (judged) made.append(element('p', { className: 'verdict' }, words[judged]));
  const buttons = isPair
    ? [action('m', 'Same', 'merge', judged), action('r', 'Different', 'apart', judged)]
    : [
        action('a', 'Accept', 'accept', judged),
        action('r', 'Reject', 'reject', judged || entry.size < 2),
        action('s', 'Split off marked', 'split', judged || entry.size < 2),
        action('n', 'Name', 'name', judged && judged !== 'accept'),
      ];
  made.append(element('nav', { 'aria-label': `Decisions on ${title}` }, ...buttons));
  return made;
}

const cards = () => [...document.querySelectorAll('article')];
const current = () =>
  document.activeElement?.closest('article') ?? cards().find((one) => !one.entry.action) ?? cards()[0];

function say(text) {
  at('message').textContent = text;
}

function showState() {
  at('state').textContent =
    `${count(state.rows)} rows in ${count(state.clusters)} clusters of ${state.folder}; judged: ${count(state.judged)}, ` +
    `merges: ${count(state.actions.merge ?? 0)}` +
    (state.hasTrust ? '' : '. There is no trust: run naan label --trust for an order and for loose rows first');
  at('undo').disabled = state.recent.length === 0;
}

async function load({ focus } = {}) {
  state = await ask('state');
  version = state.version;
  const found = await ask(`list?of=${list}&from=${from}&count=${pageSize}`);
  total = found.total;
  at('list').replaceChildren(...found.entries.map((entry, i) => card(entry, from + i)));
  if (total === 0) {
    const why =
      list === 'merges'
        ? 'The run has kept no scores between clusters: naan label --save-edges keeps them.'
        : 'There are none.';
    at('list').append(element('p', {}, why));
  }
  for (const button of document.querySelectorAll('[data-list]'))
    button.setAttribute('aria-current', String(button.dataset.list === list));
  at('place').textContent =
    total === 0 ? '' : `${count(from + 1)} to ${count(Math.min(total, from + pageSize))} of ${count(total)}`;
  at('previous').disabled = from === 0;
  at('next').disabled = from + pageSize >= total;
  showState();
  if (focus !== undefined) cards()[Math.min(focus, cards().length - 1)]?.focus();
  document.body.dataset.version = version;
}

async function decide(made, name) {
  const { entry } = made;
  const place = cards().indexOf(made);
  const asked = { action: name };
  if (entry.sides) [asked.cluster, asked.other] = entry.sides.map((one) => one.cluster);
  else asked.cluster = entry.cluster;
  if (name === 'split')
    asked.rows = [...made.querySelectorAll('[aria-pressed="true"]')].map((one) => Number(one.dataset.row));
  if (name === 'name') {
    asked.name = await askName(entry.name ?? '');
    if (asked.name === undefined) return;
  }
  const { decided } = await ask('decide', asked);
  own.push(decided);
  say(`${made.getAttribute('aria-label')}: ${words[name]}.`);
  await load({ focus: place + 1 });
}

function askName(before) {
  const dialog = at('naming');
  at('name').value = before;
  dialog.returnValue = '';
  dialog.showModal();
  at('name').select();
  return new Promise((done) => {
    dialog.addEventListener('close', () => done(dialog.returnValue === 'ok' ? at('name').value : undefined), {
      once: true,
    });
  });
}

async function undo() {
  state = await ask('state');
  const counted = new Set(state.recent.map(({ id }) => id));
  while (own.length > 0 && !counted.has(own.at(-1))) own.pop();
  const undoes = own.pop() ?? state.recent.at(-1)?.id;
  if (undoes === undefined) return say('There is nothing to undo.');
  const place = cards().indexOf(current());
  await ask('decide', { action: 'undo', undoes });
  say('Undone.');
  await load({ focus: place });
}

async function open(name) {
  list = name;
  from = 0;
  await load({ focus: 0 });
}

async function turn(by) {
  const next = from + by * pageSize;
  if (next < 0 || next >= total) return;
  from = next;
  await load({ focus: 0 });
  scrollTo(0, 0);
}

let isBusy = false;
/** One thing after the other; what goes wrong is said. */
async function act(work) {
  if (isBusy) return;
  isBusy = true;
  try {
    await work();
  } catch (error) {
    say(error.message);
  } finally {
    isBusy = false;
  }
}

document.addEventListener('click', (event) => {
  const button = event.target.closest('button');
  if (!button) return;
  if (button.dataset.row !== undefined) {
    button.setAttribute('aria-pressed', String(button.getAttribute('aria-pressed') !== 'true'));
  } else if (button.dataset.action) act(() => decide(button.closest('article'), button.dataset.action));
  else if (button.dataset.list) act(() => open(button.dataset.list));
  else if (button.id === 'undo') act(undo);
  else if (button.id === 'next') act(() => turn(1));
  else if (button.id === 'previous') act(() => turn(-1));
});

document.addEventListener('keydown', (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || at('naming').open) return;
  const { key } = event;
  const lists = { 1: 'clusters', 2: 'merges', 3: 'splits' };
  if (lists[key]) return act(() => open(lists[key]));
  if (key === 'u') return act(undo);
  if (key === 'j' || key === 'k') {
    const all = cards();
    const focused = document.activeElement?.closest('article');
    const next = focused ? all.indexOf(focused) + (key === 'j' ? 1 : -1) : 0;
    if (next >= all.length) act(() => turn(1));
    else if (next < 0) act(() => turn(-1));
    else all[next].focus();
    return;
  }
  if (!'arsmn'.includes(key)) return;
  const made = current();
  const button = [...(made?.querySelectorAll('[data-action]') ?? [])].find((one) => one.firstChild.textContent === key);
  if (!button || button.disabled) return;
  event.preventDefault();
  act(() => decide(made, button.dataset.action));
});

// What another window decides is shown when this one is looked at again.
addEventListener('focus', () =>
  act(async () => {
    const { version: latest } = await ask('state');
    if (latest !== version) await load();
  }),
);

act(load);
