// The versions: going back to one, after asking.
import { post } from "/static/api.js";
import { $, $$, count, h, plural } from "/static/dom.js";
import { reviewer } from "/static/shell.js";

const dialog = $("[data-back-dialog]");

for (const button of $$("[data-back]")) button.addEventListener("click", () => ask(button.dataset.back));
document.addEventListener("store-changed", () => location.reload());

function ask(version) {
  const problem = h("p", { class: "notice bad", hidden: true, role: "alert" });
  const go = h("button", { type: "button", class: "primary", onclick: async () => {
    go.disabled = true;
    go.textContent = "Going back…";
    try {
      done(await post("/api/versions/back", { version, reviewer: reviewer() }));
    } catch (error) {
      problem.textContent = error.message;
      problem.hidden = false;
      go.textContent = "Go back";
      go.disabled = false;
    }
  } }, "Go back");
  dialog.replaceChildren(
    h("h2", { id: "back-title" }, `Go back to ${version}?`),
    h("p", {}, "Its thresholds, scores and removals are put in force again, from what is stored. No image and no decision is changed, and it can be undone the same way."),
    h("p", { class: "muted" }, "The next run moves on from the images and decisions that it finds then."),
    problem,
    h("div", { class: "dialog-end" }, h("button", { type: "button", onclick: () => dialog.close() }, "Cancel"), go));
  dialog.showModal();
}

// What is not as it was then, with the first names.
function told({ total, shown }, sentence) {
  if (!total) return "";
  return h("div", { class: "notice" }, h("p", {}, `${sentence(plural(total, "image"))}:`),
    h("ul", {}, shown.map((image) => h("li", { class: "path" }, image))), total > shown.length ? h("p", {}, `and ${count(total - shown.length)} more`) : "");
}

function done(said) {
  dialog.replaceChildren(
    h("h2", { id: "back-title" }, `The dataset is ${said.version} again`),
    h("p", {}, `${plural(said.restored, "image")} restored, ${count(said.removed)} removed.`),
    told(said.cannotLeave, (images) => `${images} it left out cannot leave, because the image that stayed for them is gone or shows another picture now`),
    told(said.otherNow, (images) => `${images} it kept cannot be read or show another picture now`),
    told(said.goneNow, (images) => `${images} it kept are no longer in the folder`),
    said.decisionsDiffer ? h("p", { class: "notice" }, "The decisions file was not changed and says something else now than it did then.") : "",
    h("div", { class: "dialog-end" }, h("button", { type: "button", class: "primary", onclick: () => location.assign("/versions") }, "Close")));
  dialog.addEventListener("close", () => location.assign("/versions"), { once: true });
}
