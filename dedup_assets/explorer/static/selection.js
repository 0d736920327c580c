// Which images are selected: some by name, or all of the view but some.

export class Selection {
  constructor(onchange) {
    this.onchange = onchange;
    this.clear(false);
  }

  clear(tell = true) {
    Object.assign(this, { all: false, names: new Set(), last: null });
    if (tell) this.onchange();
  }

  selectAll() {
    Object.assign(this, { all: true, names: new Set() });
    this.onchange();
  }

  has(id) {
    return this.all !== this.names.has(id);
  }

  set(ids, chosen) {
    for (const id of ids) {
      if (chosen === this.all) this.names.delete(id);
      else this.names.add(id);
    }
    this.onchange();
  }

  size(total) {
    return this.all ? total - this.names.size : this.names.size;
  }

  // As the server takes it.
  asRequest(view) {
    return this.all ? { view, except: [...this.names] } : { images: [...this.names] };
  }
}
