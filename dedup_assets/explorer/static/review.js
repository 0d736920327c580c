// The review page: one group after the other, by keyboard.
import { get } from "/static/api.js";
import { openBulk } from "/static/bulk.js";
import { compare, flip, MODES } from "/static/compare.js";
import { $, $$, baseName, count, h, picture, plural, say, score, thumb } from "/static/dom.js";
import { Outbox } from "/static/outbox.js";
import { radios } from "/static/radios.js";
import { watchRun } from "/static/run.js";
import { lasting, reviewer } from "/static/shell.js";
import { Zoom } from "/static/zoom.js";

const stage = $("[data-stage]");
const details = new Map(); // id -> promise of a group in full
let groups = []; // [leader, distance, images, waits]
let place = -1;
let group = null;
let listed = null; // the group whose members are in the row
let framed = 0;
let keeper = null;
let mode = new URLSearchParams(location.search).get("compare") ?? "side";
if (!MODES.includes(mode)) mode = "side";

const zoom = new Zoom(stage, (on) => $("[data-zoom]").setAttribute("aria-pressed", String(on)));
const outbox = new Outbox((answer, error, message) => (error ? refused(error, message) : settled(answer, message)));

// ---- going from group to group

async function load() {
  await list();
  const asked = new URLSearchParams(location.search).get("group");
  const at = asked === null ? -1 : await placeOf(asked);
  await open(at >= 0 ? at : groups.findIndex((entry) => entry[3]));
}

async function list() {
  const found = await get("/api/review");
  groups = found.groups;
  lasting(found.error);
  showProgress();
}

// An address may name any image of a group; who leads it changes with the images that a run finds.
async function placeOf(image) {
  const named = (id) => groups.findIndex(([leader]) => leader === id);
  if (named(image) >= 0) return named(image);
  const found = await detail(image).catch((error) => say(error.message, true));
  details.delete(image);
  return found ? named(found.id) : -1;
}

async function open(at) {
  place = at;
  if (at < 0 || at >= groups.length) {
    finish();
    return;
  }
  const id = groups[at][0];
  stage.setAttribute("aria-busy", "true");
  const found = await detail(id).catch((error) => say(error.message, true));
  if (groups[place]?.[0] !== id) return; // another one is being opened
  stage.removeAttribute("aria-busy");
  if (!found) return;
  group = found;
  keeper = null;
  framed = firstWaiting();
  zoom.end();
  show();
  if (stage.getBoundingClientRect().top < 0) stage.scrollIntoView();
  address();
  for (const ahead of following(2)) detail(ahead).then(preload, () => {});
}

function detail(id) {
  if (!details.has(id)) {
    const asking = get("/api/review/group", new URLSearchParams({ id }));
    details.set(id, asking);
    asking.catch(() => details.delete(id));
  }
  return details.get(id);
}

function preload(found) {
  for (const member of found.members.slice(0, 4)) new Image().src = thumb(member.hash, 1280);
}

const following = (most) => groups.slice(place + 1).filter((entry) => entry[3]).slice(0, most).map(([leader]) => leader);

function nextWaiting() {
  const after = groups.findIndex((entry, at) => at > place && entry[3]);
  return after >= 0 ? after : groups.findIndex((entry, at) => at !== place && entry[3]);
}

function step(by) {
  const at = place + by;
  if (at >= 0 && at < groups.length) open(at);
}

function finish() {
  group = null;
  place = -1;
  stage.removeAttribute("aria-busy");
  const sentence = groups.length ? "Every group is decided. Apply the decisions to change the dataset." : "There are no near duplicates at these thresholds.";
  stage.replaceChildren(h("div", { class: "finished" }, h("h2", {}, groups.length ? "All done" : "Nothing to review"), h("p", {}, sentence), h("a", { class: "button", href: "/grid?min=0&max=0.05" }, "See them in the grid")));
  $("[data-members]").replaceChildren();
  $("[data-suggestion]").replaceChildren();
  $("[data-where]").textContent = "";
  address();
}

function address() {
  const next = new URLSearchParams();
  if (group) next.set("group", group.id);
  if (mode !== "side") next.set("compare", mode);
  history.replaceState(null, "", `${location.pathname}${next.size ? `?${next}` : ""}`);
}

// ---- what is shown

const chosenKeeper = () => group.members.find(({ id }) => id === group.beside);

function firstWaiting() {
  const stays = chosenKeeper();
  const at = group.members.findIndex((member) => member !== stays && member.waits);
  return at >= 0 ? at : Math.max(0, group.members.findIndex((member) => member !== stays));
}

function show() {
  const stays = chosenKeeper();
  const subject = group.members[framed];
  const other = subject === stays ? group.members.find((member) => member !== stays) : stays;
  const { distance } = subject === stays ? other : subject;
  compare(stage, mode, [other, subject], [other === stays ? "Keeper" : "Beside it", subject === stays ? "Keeper, framed" : stateOf(subject)], distance);
  zoom.show();
  showMembers();
  $("[data-suggestion]").replaceChildren(...suggestion(stays));
  $("[data-where]").textContent = `Group ${count(place + 1)} of ${count(groups.length)} · ${plural(group.members.length, "image")}${distance === null ? "" : ` · distance ${score(distance)}`}`;
  $("[data-do=accept]").disabled = !Object.keys(group.plan).length;
}

// The row is made once for a group: there may be thousands of images in it. One of them is a stop of the Tab key.
function showMembers() {
  const row = $("[data-members]");
  const within = row.contains(document.activeElement);
  if (listed !== group) row.replaceChildren(...group.members.map(member));
  listed = group;
  const before = $("[aria-current=true]", row);
  const chosen = row.children[framed].firstElementChild;
  if (before) Object.assign(before, { ariaCurrent: "false", tabIndex: -1 });
  Object.assign(chosen, { ariaCurrent: "true", tabIndex: 0 });
  if (within) chosen.focus({ preventScroll: true });
  reveal(row, chosen);
}

// Only the row of members is scrolled, never the page.
function reveal(row, chosen) {
  row.scrollLeft = chosen.offsetLeft - (row.clientWidth - chosen.offsetWidth) / 2;
}

function stateOf(image) {
  if (image.gone) return image.word === "discard" ? "Discarded" : "Removed";
  if (image.word === "keep") return "Kept";
  if (!image.waits) return image.word === "not_duplicate" ? "Not a duplicate" : "Stays";
  return image.id in group.plan ? "Near duplicate" : "Stays";
}

function member(image, at) {
  const state = image === chosenKeeper() && image.waits ? "Keeper" : stateOf(image);
  const kind = image.gone ? "goes" : state === "Near duplicate" ? "" : "stays";
  return h("li", {}, h("button", { type: "button", class: `member ${kind}`, tabIndex: -1, "aria-label": `${at + 1}: ${image.id}, ${state}`, title: image.id, onclick: () => frame(at) },
    picture(image, 320, { loading: "lazy" }), h("span", { class: "number" }, String(at + 1)), h("span", { class: "state" }, state === "Near duplicate" ? "?" : state)));
}

function suggestion(stays) {
  const going = Object.keys(group.plan).length;
  if (!going) return [group.waits ? "Nothing is suggested any more." : "This group is decided."];
  const why = group.reason && `; ${group.reason}`;
  return [keeper ? "You chose: keep " : "Suggested: keep ", h("b", {}, baseName(stays.id)), `, remove ${going === 1 ? "the other" : plural(going, "other")}${why}`];
}

function showProgress() {
  const done = groups.filter((entry) => !entry[3]).length;
  $("[data-done]").textContent = count(done);
  $("[data-groups]").textContent = count(groups.length);
  $("[data-progress]").max = Math.max(groups.length, 1);
  $("[data-progress]").value = done;
  const badge = $("[data-waiting]");
  if (badge) badge.textContent = count(groups.length - done);
}

function frame(at) {
  framed = at;
  show();
}

async function chooseKeeper(at) {
  if (!group.members[at] || group.members[at].gone) return;
  const { id } = group;
  const chosen = group.members[at].id;
  const found = await get("/api/review/group", new URLSearchParams({ id, keeper: chosen }));
  if (group?.id !== id) return;
  group = found;
  keeper = chosen === group.keeper ? group.members[at] : null; // one that a decision keeps cannot go for it
  framed = firstWaiting();
  show();
}

// ---- deciding

function decide(action) {
  if (!group || groups[place]?.[0] !== group.id || !outbox.idle) return; // another one is being opened
  const image = group.members[framed].id;
  outbox.add("/api/review/decide", { group: group.id, action, image, keeper: chosenKeeper().id, removes: Object.keys(group.plan), seen: group.seen, reviewer: reviewer() });
}

async function settled(answer, { path }) {
  if (path.endsWith("/undo")) {
    details.clear();
    if (!answer.undone) return say("There is nothing of yours to undo.");
    return reload(answer);
  }
  const entry = groups.find(([leader]) => leader === answer.group.id);
  if (!entry) return load(); // kept from another time, when this group was another
  details.set(answer.group.id, Promise.resolve(answer.group));
  entry[3] = answer.group.waits > 0;
  showProgress();
  lasting(null);
  watchRun();
  if (group?.id !== answer.group.id) return undefined;
  if (answer.waiting !== groups.filter((one) => one[3]).length) await catchUp(group.id);
  if (!entry[3]) return open(nextWaiting());
  const was = keeper?.id;
  group = answer.group;
  keeper = group.members.find(({ id }) => id === was && id === group.keeper) ?? null;
  framed = firstWaiting();
  return show();
}

// Other reviewers decided too: what they did is not asked again.
async function catchUp(id) {
  details.clear();
  await list();
  place = groups.findIndex(([leader]) => leader === id);
}

async function reload({ group: id, images, undone }) {
  await list();
  watchRun();
  const at = groups.findIndex(([leader]) => leader === id);
  await open(at >= 0 ? at : place);
  say(`Undone: what you decided about ${undone === 1 ? baseName(images[0]) : plural(undone, "image")}.`);
}

// What stands may be another decision than the one shown: the group is shown again as it is now.
function refused(error) {
  say(error.message, true);
  details.clear();
  load();
}

const actions = {
  accept: () => decide("accept"),
  keep: () => decide("keep"),
  remove: () => decide("remove"),
  not_duplicate: () => decide("not_duplicate"),
  discard: () => decide("discard"),
  skip: () => open(nextWaiting() >= 0 ? nextWaiting() : place),
  undo: () => outbox.add("/api/review/undo", { reviewer: reviewer() }),
};
for (const button of $$("[data-do]")) button.addEventListener("click", () => actions[button.dataset.do]());
const showMode = radios($$("[data-mode]"), (button) => setMode(button.dataset.mode));
$("[data-zoom]").addEventListener("click", () => look());
$("[data-help]").addEventListener("click", () => $("[data-help-dialog]").showModal());
$("[data-bulk]").addEventListener("click", () => openBulk(() => {
  details.clear();
  load();
  watchRun();
}));

function setMode(name) {
  mode = name;
  showMode($(`[data-mode=${mode}]`));
  if (mode !== "side") zoom.end();
  if (group) show();
  address();
}

// A closer look is had side by side.
function look() {
  if (mode !== "side") setMode("side");
  zoom.toggle();
}

// A click with the pointer gives the focus back, so that Enter and Space mean what this page says they do.
document.addEventListener("click", ({ target, detail }) => {
  if (detail && !target.closest("dialog")) target.closest("button")?.blur();
}, { capture: true });

const KEYS = { Enter: "accept", k: "keep", r: "remove", n: "not_duplicate", d: "discard", s: "skip", u: "undo" };

addEventListener("keydown", (event) => {
  // a dialog that was just closed keeps the focus for a moment
  const target = event.target.closest("dialog:not([open])") ? document.body : event.target;
  if (target.closest("input, select, textarea, dialog") || event.ctrlKey || event.metaKey || event.altKey) return;
  if ((event.key === "Enter" || event.key === " ") && target.closest("a, button")) return;
  const handled = press(event);
  if (handled) event.preventDefault();
});

const ARROWS = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] };

function press({ key, repeat, shiftKey }) {
  if (KEYS[key]) {
    if (!repeat) actions[KEYS[key]]();
    return true;
  }
  if (key === "?") $("[data-help-dialog]").showModal();
  else if (!group) return false;
  else if (key === "z") look();
  else if (shiftKey && ARROWS[key] && zoom.pan(...ARROWS[key])) return true;
  else if (key >= "1" && key <= "9") chooseKeeper(Number(key) - 1);
  else if (key === "ArrowDown" || key === "j") step(1);
  else if (key === "ArrowUp") step(-1);
  else if (key === "ArrowRight") framed + 1 < group.members.length ? frame(framed + 1) : step(1);
  else if (key === "ArrowLeft") framed > 0 ? frame(framed - 1) : step(-1);
  else if (key === "m") setMode(MODES[(MODES.indexOf(mode) + 1) % MODES.length]);
  else if (key === " " && mode === "flicker" && heldFrom === null) flip();
  else if (key === " ") hold(true);
  else return false;
  return true;
}

let heldFrom = null;

// Space flickers while it is held, then the way to compare is as it was.
function hold(down) {
  if (down && heldFrom === null) {
    heldFrom = mode;
    setMode("flicker");
  } else if (!down && heldFrom !== null) {
    setMode(heldFrom);
    heldFrom = null;
  }
}

addEventListener("keyup", (event) => {
  if (event.key === " ") hold(false);
});
document.addEventListener("store-changed", () => {
  details.clear();
  load();
});
showMode($(`[data-mode=${mode}]`));
load().finally(() => outbox.send());
