// Rules for long tables: which rows a search finds, and which of them one page shows. Pure: no DOM.

export const pageSize = 50;

const folded = (text) => text.normalize('NFKC').toLowerCase();

/** The rows whose text contains every word of the query, in any case. */
export function matching(rows, query, textOf) {
  const words = folded(query).split(/\s+/).filter(Boolean);
  if (!words.length) return rows;
  return rows.filter((row) => {
    const text = folded(textOf(row));
    return words.every((word) => text.includes(word));
  });
}

/** One page of the rows: {page, pages, first, last, rows}; first and last count from 1, 0 without rows. */
export function pageOf(rows, wanted, size = pageSize) {
  const pages = Math.max(1, Math.ceil(rows.length / size));
  const page = Math.min(Math.max(0, wanted), pages - 1);
  const shown = rows.slice(page * size, (page + 1) * size);
  return { page, pages, first: shown.length ? page * size + 1 : 0, last: page * size + shown.length, rows: shown };
}
