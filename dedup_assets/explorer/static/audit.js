// The audit page: restoring an image is a decision to keep it.
import { post } from "/static/api.js";
import { $$, h, say } from "/static/dom.js";
import { watchRun } from "/static/run.js";
import { reviewer } from "/static/shell.js";

for (const button of $$("[data-restore]")) {
  button.addEventListener("click", async () => {
    button.disabled = true;
    try {
      await post("/api/decide", { images: [button.dataset.restore], decision: "keep", reviewer: reviewer() });
      button.replaceWith(h("span", { class: "chip decided" }, "will be restored"));
      watchRun();
    } catch (error) {
      say(error.message, true);
      button.disabled = false;
    }
  });
}
for (const select of $$(".audit-form select")) select.addEventListener("change", () => select.form.requestSubmit());
