// The plan: what changed at once, and on asking who would leave and who would come back.
import { get, post } from "/static/api.js";
import { $, count, h, imagePage, picture, plural, say } from "/static/dom.js";
import { startRun } from "/static/run.js";

const foresee = $("[data-foresee]");
const runAll = $("[data-run-all]");
const progress = $("[data-progress]");
const hint = $("[data-hint]");
let hashes = {};

async function load() {
  try {
    const found = await get("/api/plan");
    hashes = found.hashes;
    show(found);
  } catch (error) {
    $("[data-plan]").replaceChildren();
    problem(error.message);
  }
}

function show({ plan, full, outdated }) {
  problem(plan.problem ? `A run would stop, and leave the dataset as it is: ${plan.problem}` : "");
  const lost = plan.withoutImage.total;
  $("[data-plan]").replaceChildren(
    figures([
      ["New files", plan.new.total, plan.toRead ? `${plural(plan.toRead, "file")} to be read` : "no file to be read"],
      ["Changed", plan.changed.total, ""],
      ["Vanished", plan.vanished.total, plan.renamed.total ? `and ${count(plan.renamed.total)} renamed` : plan.new.total && plan.vanished.total && !full ? "or renamed" : ""],
      ["Decisions waiting", plan.decisionsNew, [plan.decisionsGone ? `${count(plan.decisionsGone)} no longer written` : "", lost ? `${count(lost)} no longer apply` : ""].filter(Boolean).join(", ") || `of ${count(plan.decisions)} written`],
    ]),
    files("New files", plan.new), files("Changed files", plan.changed), files("Vanished files", plan.vanished),
    files("Renamed files", plan.renamed, ({ was }) => `was ${was}`),
    files("Decisions without their picture", plan.withoutImage, ({ line }) => `line ${line}: the picture is gone`),
  );
  $("[data-outcome]").replaceChildren(...(plan.outcome ? outcome(plan) : []));
  foresee.disabled = full || Boolean(plan.problem);
  runAll.disabled = Boolean(plan.problem) || plan.changesNothing;
  hint.textContent = verdict(plan, outdated);
}

function verdict(plan, outdated) {
  if (plan.problem) return "";
  if (plan.changesNothing) return `A run would change nothing; the dataset stays ${plan.datasetNow}.`;
  if (plan.outcome?.dataset === plan.datasetNow) return `The dataset would stay ${plan.datasetNow}.`;
  if (plan.outcome) return `A run would write the dataset ${plan.outcome.dataset}${plan.datasetNow ? `, now ${plan.datasetNow}` : ""}.`;
  if (![plan.new, plan.changed, plan.vanished, plan.renamed].some(({ total }) => total) && !plan.decisionsNew && !plan.decisionsGone) return "Neither images nor decisions changed since the last run.";
  if (outdated) return "Something changed since the outcome was worked out; ask again.";
  return "Which images would leave or come back is worked out on a copy; new files are read for it.";
}

function outcome({ outcome: found, keptNow, waitingNow }) {
  const now = (value) => (value === null ? "" : `now ${count(value)}`);
  return [
    figures([
      ["Newly removed", found.leave.total, `${count(found.removed)} left out in all`],
      ["Come back", found.comeBack.total, found.otherGround ? `${count(found.otherGround)} stay out on another ground` : ""],
      ["Kept", found.kept, now(keptNow)],
      ["Pairs to review", found.waiting, now(waitingNow)],
    ]),
    pairs("Would be removed", "leave", found.leave),
    pairs("Would come back", "comeBack", found.comeBack),
  ];
}

function figures(rows) {
  return h("dl", { class: "outcome" }, rows.map(([name, value, note]) => h("div", {}, h("dt", {}, name), h("dd", {}, count(value)), h("dd", { class: "change" }, note))));
}

const head = (title, { total, shown }) => h("div", { class: "list-head" }, h("h2", {}, title),
  h("span", { class: "muted numbers" }, count(total) + (total > shown.length ? `, the first ${shown.length} shown` : "")));
const named = (id) => (id in hashes ? h("a", { href: imagePage(id) }, id) : id);
const seen = (id) => (id in hashes ? { hash: hashes[id] } : { status: "new file" });

function files(title, list, note = () => "") {
  if (!list.total) return "";
  return h("details", { open: list.total <= 12 }, h("summary", {}, head(title, list)),
    h("ul", { class: "paths" }, list.shown.map((entry) => h("li", { class: "path" }, named(entry.id), " ", h("span", { class: "muted" }, note(entry))))));
}

function pairs(title, name, list) {
  return h("section", { "data-list": name }, head(title, list), list.total
    ? h("ul", { class: "pair-list" }, list.shown.map(({ id, keeper, why }) => h("li", { class: "pair", title: id },
      h("div", { class: "pair-pictures" }, keeper ? picture(seen(keeper), 320, { loading: "lazy" }) : "", picture(seen(id), 320, { loading: "lazy" })),
      h("span", { class: "path" }, named(id)), h("span", { class: "muted path" }, why))))
    : h("p", { class: "muted" }, "nobody"));
}

function problem(sentence) {
  $("[data-problem]").textContent = sentence;
  $("[data-problem]").hidden = !sentence;
}

async function follow() {
  let state;
  try {
    state = await get("/api/plan/outcome");
  } catch {
    setTimeout(follow, 2000);
    return;
  }
  progress.hidden = !state.running;
  if (state.running) {
    foresee.disabled = true;
    progress.value = state.share;
    hint.textContent = state.doing;
    setTimeout(follow, 400);
    return;
  }
  if (state.failed) say(state.failed, true);
  await load();
}

foresee.addEventListener("click", async () => {
  try {
    await post("/api/plan/outcome", {});
  } catch (error) {
    say(error.message, true);
  }
  await follow();
});
runAll.addEventListener("click", () => startRun({ all: true }));
document.addEventListener("store-changed", () => load());

async function start() {
  await load();
  if ((await get("/api/plan/outcome")).running) await follow();
}

start();
