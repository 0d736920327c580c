// "Apply decisions": what waits to be applied, the Dagster run, and how far it is.
import { get, post } from "/static/api.js";
import { $, h, plural, say } from "/static/dom.js";

const button = $("[data-apply]");
const dialog = $("[data-run-dialog]");
let timer;
let wasRunning = false;
let version = $("meta[name=dedup-version]").content; // of the store, as this page shows it

export async function watchRun() {
  clearTimeout(timer);
  let state;
  try {
    state = await get("/api/run");
  } catch {
    if (wasRunning) timer = setTimeout(watchRun, 2000);
    return;
  }
  show(state);
  const ended = wasRunning && !state.running;
  if (ended) say(state.failed ? `The run failed: ${state.failed}` : "The run is done.", Boolean(state.failed));
  const elsewhere = !state.running && version !== state.version; // a run that was started elsewhere
  if (!state.running) version = state.version;
  wasRunning = state.running;
  if (ended || elsewhere) document.dispatchEvent(new Event("store-changed"));
  if (state.running || state.behind) timer = setTimeout(watchRun, 600);
}

export async function startRun(thresholds = {}) {
  try {
    await post("/api/run", thresholds);
    wasRunning = true;
    await watchRun();
    if (!dialog.open) dialog.showModal();
  } catch (error) {
    say(error.message, true);
  }
}

button.addEventListener("click", async () => {
  await watchRun();
  dialog.showModal();
});

document.addEventListener("visibilitychange", () => {
  if (!document.hidden) watchRun();
});

function show(state) {
  button.hidden = !state.running && !state.pending;
  button.classList.toggle("running", state.running);
  $("[data-apply-text]").textContent = state.running ? "Running" : `Apply ${plural(state.pending, "decision")}`;
  const steps = state.log.length ? h("pre", { tabIndex: 0, "aria-label": "Progress" }, state.log.join("\n")) : null;
  dialog.replaceChildren(
    h("h2", { id: "run-title" }, state.running ? "Running in Dagster" : state.failed ? "The run failed" : "Apply decisions"),
    state.failed ? h("p", { class: "notice bad" }, state.failed) : "",
    h("p", {}, state.pending
      ? `${plural(state.pending, "decision")} in ${state.file} changed since the last run.`
      : "Every decision is applied."),
    state.running ? h("p", { class: "muted" }, state.doing) : "",
    state.running ? h("progress", { max: 1, value: state.share, "aria-label": "Progress of the run" }) : "",
    steps ?? "",
    h("p", { class: "muted small" }, `This materialises ${state.assets.join(", ")} with the Dagster job in a process of its own. In the Dagster UI the same is: Assets, select ${state.assets.join(" and ")}, Materialize selected.`),
    h("div", { class: "dialog-end" },
      h("button", { type: "button", onclick: () => dialog.close() }, "Close"),
      h("button", { type: "button", class: "primary", disabled: state.running || !state.pending, onclick: () => startRun() }, "Apply now")),
  );
}
