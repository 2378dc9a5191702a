// Reads Prometheus' text format, and computes from two scrapes what `increase` and `histogram_quantile` would.

const SAMPLE = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})?[ \t]+(\S+)(?:[ \t]+-?\d+)?[ \t]*$/;
const LABEL = /([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"/g;
const ESCAPED = { "\\\\": "\\", '\\"': '"', "\\n": "\n" };

/** The samples of these names, by their series: a map to {name, labels, value}. */
export function parse(text, names) {
  const wanted = new Set(names);
  const series = new Map();
  for (const line of text.split("\n")) {
    const [, name, labels = "", value] = SAMPLE.exec(line) ?? [];
    if (wanted.has(name)) series.set(`${name}{${labels}}`, { name, labels: labelsOf(labels), value: numberOf(value) });
  }
  return series;
}

/** By how much each counter grew. One that is new began at 0, one that fell began anew, as after a restart. */
export function increase(before, after) {
  return [...after].map(([key, sample]) => {
    const since = before.get(key)?.value ?? 0;
    return { ...sample, value: sample.value < since ? sample.value : sample.value - since };
  });
}

export function sum(samples) {
  return samples.reduce((total, sample) => total + sample.value, 0);
}

/** The quantile of a histogram's `_bucket` samples, those of several series added up; NaN where nothing is counted. */
export function histogramQuantile(quantile, samples) {
  const buckets = bucketsOf(samples);
  const total = buckets.at(-1)?.count ?? 0;
  if (buckets.length < 2 || !total || buckets.at(-1).bound !== Infinity) return NaN;
  const rank = quantile * total;
  const index = buckets.findIndex(({ count }) => count >= rank);
  if (index === buckets.length - 1) return buckets[index - 1].bound;
  const { bound, count } = buckets[index];
  if (index === 0 && bound <= 0) return bound;
  const { bound: start, count: below } = index > 0 ? buckets[index - 1] : { bound: 0, count: 0 };
  return start + ((bound - start) * (rank - below)) / (count - below);
}

function bucketsOf(samples) {
  const counts = new Map();
  for (const { labels, value } of samples) {
    const bound = numberOf(labels.le);
    counts.set(bound, (counts.get(bound) ?? 0) + value);
  }
  return [...counts].map(([bound, count]) => ({ bound, count })).sort((a, b) => (a.bound < b.bound ? -1 : 1));
}

function labelsOf(text) {
  const pairs = [...text.matchAll(LABEL)];
  return Object.fromEntries(pairs.map(([, name, value]) => [name, value.replace(/\\[\\"n]/g, (two) => ESCAPED[two])]));
}

function numberOf(text) {
  if (text === "+Inf") return Infinity;
  return text === "-Inf" ? -Infinity : Number(text);
}
