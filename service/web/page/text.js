// Figures as people read them.

/** 0.9412 as 94.1 %; what is not nothing is never shown as nothing. */
export function percent(share) {
  if (share > 0 && share < 0.0005) return "< 0.1 %";
  if (share < 1 && share >= 0.9995) return "> 99.9 %";
  return `${(share * 100).toFixed(1)} %`;
}

/** Three digits of a time, in ms below a second. */
export function duration(ms) {
  if (!Number.isFinite(ms)) return "–";
  return ms < 999.5 ? `${digits(ms)} ms` : `${digits(ms / 1000)} s`;
}

export function rate(perSecond) {
  return Number.isFinite(perSecond) ? digits(perSecond) : "–";
}

export function count(number, one, many = `${one}s`) {
  return `${number} ${number === 1 ? one : many}`;
}

function digits(value) {
  if (value >= 99.5) return Math.round(value).toLocaleString("en");
  return value >= 9.95 ? value.toFixed(1) : value.toFixed(2).replace(/\.?0+$/, "");
}
