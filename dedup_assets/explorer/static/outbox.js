// Decisions on their way: sent one after the other, kept in this browser until the server has written them.
import { Refused, post } from "/static/api.js";
import { $, h, plural } from "/static/dom.js";

const KEY = "unsent-decisions";
const RETRY_MS = 1500;

export class Outbox {
  // settled(answer or null, error or null, message) follows each one.
  constructor(settled) {
    this.settled = settled;
    this.waiting = stored();
    this.busy = false;
    if (this.waiting.length) this.send();
  }

  add(path, body) {
    this.waiting.push({ path, body });
    this.keep();
    this.send();
  }

  get idle() {
    return !this.waiting.length;
  }

  async send() {
    if (this.busy) return;
    this.busy = true;
    while (this.waiting.length) {
      const message = this.waiting[0];
      try {
        const answer = await post(message.path, message.body);
        this.done();
        this.settled(answer, null, message);
      } catch (error) {
        if (error instanceof Refused) {
          this.done();
          this.settled(null, error, message);
        } else {
          this.warn();
          await new Promise((resolve) => { setTimeout(resolve, RETRY_MS); });
        }
      }
    }
    this.busy = false;
  }

  done() {
    this.waiting.shift();
    this.keep();
    this.warn();
  }

  keep() {
    try { localStorage.setItem(KEY, JSON.stringify(this.waiting)); } catch { /* a private window keeps nothing */ }
  }

  // A notice as long as the server does not answer.
  warn() {
    const shown = $(".unsaved");
    if (!this.waiting.length) shown?.remove();
    else if (!shown) document.body.append(h("p", { class: "notice bad unsaved", role: "alert" }, `The server does not answer; ${plural(this.waiting.length, "decision")} kept here until it does.`));
  }
}

function stored() {
  try { return JSON.parse(localStorage.getItem(KEY) ?? "[]"); } catch { return []; }
}
