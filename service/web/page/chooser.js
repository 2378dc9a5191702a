// Which model and version is asked: two lists that follow what the server has loaded.

import { byId, make } from "./dom.js";
import { count } from "./text.js";

export class Chooser {
  #model = byId("model");
  #version = byId("version");
  #about = byId("about");
  #models = [];
  #defaults = new Map();
  #tell;

  /** tell: called with a sentence when a choice is gone, or another version answers by default. */
  constructor(tell) {
    this.#tell = tell;
    this.#model.addEventListener("change", () => {
      this.#version.value = "";
      this.#draw();
    });
    this.#version.addEventListener("change", () => this.#draw());
  }

  /** Version "" is the default one. */
  get choice() {
    return { model: this.#model.value, version: this.#version.value };
  }

  get isEmpty() {
    return !this.#models.length;
  }

  /** models: as the server lists them. */
  follow(models) {
    const { model, version } = this.choice;
    this.#models = models;
    const news = [...this.#whatIsGone(model, version), ...this.#whatIsDefault()];
    if (news.length) this.#tell(news.join(" "));
    this.#draw();
  }

  #whatIsGone(model, version) {
    const ofModel = this.#models.filter(({ name }) => name === model);
    if (model && this.#models.length && !ofModel.length) {
      return [`The model ${model} is not served any more; another one is chosen.`];
    }
    if (version && ofModel.length && !ofModel.some((each) => each.version === version)) {
      this.#version.value = "";
      return [`Version ${version} of ${model} is not served any more; the default version is chosen.`];
    }
    return [];
  }

  #whatIsDefault() {
    const before = this.#defaults;
    const standard = this.#models.filter((each) => each.is_default);
    this.#defaults = new Map(standard.map(({ name, version }) => [name, version]));
    return standard
      .filter(({ name, version }) => before.has(name) && before.get(name) !== version)
      .map(({ name, version }) => `Version ${version} of ${name} is the default now, no longer ${before.get(name)}.`);
  }

  #draw() {
    const names = [...new Set(this.#models.map(({ name }) => name))];
    setOptions(this.#model, names.map((name) => [name, name]));
    const versions = this.#models.filter(({ name }) => name === this.#model.value);
    versions.sort((a, b) => (BigInt(a.version) < BigInt(b.version) ? 1 : -1));
    const standard = versions.find((each) => each.is_default);
    setOptions(this.#version, [
      ...(standard ? [["", `Default (${standard.version})`]] : []),
      ...versions.map(({ version, labels }) => [version, [version, ...labels].join(", ")]),
    ]);
    this.#describe(versions.find(({ version }) => version === this.#version.value) ?? standard);
  }

  #describe(model) {
    let text = "";
    if (model) {
      const { class_names: names, image, artifact, engine } = model;
      const size = `${image.width} × ${image.height} pixels`;
      text = `${count(names.length, "class", "classes")}, ${size}, ${artifact} in ${engine}`;
    }
    if (this.#about.textContent !== text) this.#about.textContent = text;
  }
}

/** Leaves a list that already has these options alone, so that one that is open stays so; keeps what is selected. */
function setOptions(select, options) {
  const shown = [...select.options].map(({ value, text }) => [value, text]);
  if (JSON.stringify(options) !== JSON.stringify(shown)) {
    const selected = select.value;
    select.replaceChildren(...options.map(([value, text]) => make("option", { value, text })));
    select.value = options.some(([value]) => value === selected) ? selected : (options[0]?.[0] ?? "");
  }
  select.disabled = !options.length;
}
