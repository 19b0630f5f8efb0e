// node tests/nginx/guard-table.mjs [WORD]: sends every hostile input of
// guard-rows.mjs to nginx with the guard off and on and prints the outcome.

import { rows, run } from './guard-rows.mjs';

const word = process.argv[2] ?? '';
let failed = 0;

async function outcome(row, guard) {
  try {
    return await run(row, { guard });
  } catch (error) {
    failed++;
    return `UNEXPECTED: ${error.message}`;
  }
}

for (const row of rows.filter((r) => r.name.includes(word))) {
  const stock = await outcome(row, false);
  const guard = await outcome(row, true);
  process.stdout.write(`${row.name}\n    stock  ${stock}\n    guard  ${guard}\n`);
}
process.exitCode = failed ? 1 : 0;
