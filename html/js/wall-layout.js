// Where the wall places its tiles. Given the pictures' shapes and the room, the tiles fill
// as much of the room as they can, in their order, each in the shape of its picture: no
// number of tiles leaves an empty box. Pure: no DOM.
//
// A shape is width / height. The result is {places: [{x, y, width, height}], height} in
// pixels; height is what they need, more than the room only where the wall scrolls.

const usual = 16 / 9;
const narrowest = 0.42;     // phones of 9:21
const widest = 2.4;         // cinema
const alike = 0.03;
const gridShapes = [[3, 1], [4, 3], [4, 2], [4, 1]];   // [squares per side, large tiles]
const tallestShare = 0.72;

/** The shape of a picture as the layout uses it; the usual one while it is unknown. */
export function shapeOf({ width, height } = {}) {
  const shape = width > 0 && height > 0 ? width / height : usual;
  return Math.min(widest, Math.max(narrowest, shape));
}

/** Places for all shapes in a room {width, height, scrolls}. */
export function wallLayout(shapes, { width, height, scrolls = false }, gap = 6) {
  if (!shapes.length || !(width > 0) || !(height > 0)) return { places: [], height: Math.max(0, height || 0) };
  if (scrolls) return scrolling(shapes, { width, height }, gap);
  const room = { width, height };
  let best = null;
  for (const { places, calm = 1 } of candidates(shapes, room, gap)) {
    const worth = worthOf(places, shapes) * calm;
    if (!best || worth > best.worth * 1.001) best = { places, worth };
  }
  return { places: best.places, height };
}

function* candidates(shapes, room, gap) {
  for (let count = 1; count <= shapes.length; count += 1) {
    yield { places: inRows(shapes, count, room, gap) };
    // Pictures that do not stand in rows look restless, so they must be clearly larger.
    if (shapes.length > 1) yield { places: inColumns(shapes, count, room, gap), calm: 0.94 };
  }
  if (shapes.every((shape) => Math.abs(shape / shapes[0] - 1) < alike)) yield* inSquares(shapes, room, gap);
}

// The area of the pictures counts, and less when some tiles are much smaller than others.
function worthOf(places, shapes) {
  const areas = places.map(({ width, height }, index) => pictureArea(width, height, shapes[index]));
  const sum = areas.reduce((total, area) => total + area, 0);
  return sum * Math.sqrt((Math.min(...areas) * areas.length) / sum);
}

function pictureArea(width, height, shape) {
  return width / height > shape ? height * shape * height : (width * width) / shape;
}

// ---- rows of equal height, as high as their width allows

function inRows(shapes, count, room, gap) {
  const rows = balanced(shapes, count);
  const highest = rows.map((row) => (room.width - gap * (row.length - 1)) / sum(row));
  const heights = share(highest, room.height - gap * (count - 1));
  const used = sum(heights) + gap * (count - 1);
  let y = (room.height - used) / 2;
  return rows.flatMap((row, index) => {
    const height = heights[index];
    let x = (room.width - sum(row) * height - gap * (row.length - 1)) / 2;
    const top = y;
    y += height + gap;
    return row.map((shape) => {
      const place = { x, y: top, width: shape * height, height };
      x += place.width + gap;
      return place;
    });
  });
}

function inColumns(shapes, count, { width, height }, gap) {
  const turned = inRows(shapes.map((shape) => 1 / shape), count, { width: height, height: width }, gap);
  return turned.map((place) => ({ x: place.y, y: place.x, width: place.height, height: place.width }));
}

/** Cuts the list into `count` rows, in its order, so that their sums differ as little as possible. */
export function balanced(shapes, count) {
  const before = [0];
  for (const shape of shapes) before.push(before.at(-1) + shape);
  // cost[rows][n]: of the first n shapes in so many rows; cut[rows][n]: where the last of them begins
  const cost = [shapes.map(() => Infinity).concat(Infinity)];
  cost[0][0] = 0;
  const cut = [[]];
  for (let rows = 1; rows <= count; rows += 1) {
    cost.push(Array(shapes.length + 1).fill(Infinity));
    cut.push([]);
    for (let n = rows; n <= shapes.length; n += 1) {
      for (let from = rows - 1; from < n; from += 1) {
        const next = cost[rows - 1][from] + (before[n] - before[from]) ** 2;
        // Of equal cuts the first: the upper rows get fewer and larger tiles.
        if (next < cost[rows][n] - 1e-9) {
          cost[rows][n] = next;
          cut[rows][n] = from;
        }
      }
    }
  }
  const result = [];
  for (let rows = count, end = shapes.length; rows > 0; rows -= 1) {
    const from = cut[rows][end];
    result.unshift(shapes.slice(from, end));
    end = from;
  }
  return result;
}

/** Shares `total` among rows: equal parts, except that none gets more than its limit. */
export function share(limits, total) {
  const parts = limits.map(() => 0);
  let rest = Math.max(0, total);
  let open = limits.map((_, index) => index);
  while (open.length && rest > 1e-9) {
    const part = rest / open.length;
    const full = open.filter((index) => limits[index] <= part);
    for (const index of full.length ? full : open) {
      parts[index] = full.length ? limits[index] : part;
      rest -= parts[index];
    }
    open = full.length ? open.filter((index) => !full.includes(index)) : [];
  }
  return parts;
}

function sum(numbers) {
  return numbers.reduce((total, number) => total + number, 0);
}

// ---- one or more large tiles among small ones, where these fill a square grid exactly

function* inSquares(shapes, room, gap) {
  for (const [side, large] of gridShapes) {
    if (large * 4 + (shapes.length - large) === side * side) {
      yield { places: squares(shapes, side, large, room, gap) };
    }
  }
}

function squares(shapes, side, large, room, gap) {
  const [shape] = shapes;
  const across = (room.width - gap * (side - 1)) / side;
  const down = (room.height - gap * (side - 1)) / side;
  const width = Math.min(across, down * shape);
  const height = width / shape;
  const left = (room.width - width * side - gap * (side - 1)) / 2;
  const top = (room.height - height * side - gap * (side - 1)) / 2;
  const taken = Array.from({ length: side }, () => Array(side).fill(false));
  return shapes.map((_, index) => {
    const span = index < large ? 2 : 1;
    const [row, column] = freeSquare(taken, span);
    for (let y = row; y < row + span; y += 1) taken[y].fill(true, column, column + span);
    return {
      x: left + column * (width + gap),
      y: top + row * (height + gap),
      width: width * span + gap * (span - 1),
      height: height * span + gap * (span - 1),
    };
  });
}

function freeSquare(taken, span) {
  for (let row = 0; row + span <= taken.length; row += 1) {
    for (let column = 0; column + span <= taken.length; column += 1) {
      const lines = taken.slice(row, row + span);
      if (lines.every((line) => line.slice(column, column + span).every((isTaken) => !isTaken))) return [row, column];
    }
  }
  return [0, 0];
}

// ---- a narrow window scrolls: one picture in a row, or two if there are many

function scrolling(shapes, { width, height }, gap) {
  const room = (shapes.length > 4 ? 2 : 1) * usual + alike;
  const rows = [];
  for (const shape of shapes) {
    const last = rows.at(-1);
    if (last && sum(last) + shape <= room) last.push(shape);
    else rows.push([shape]);
  }
  const places = [];
  let y = 0;
  for (const row of rows) {
    const high = Math.min((width - gap * (row.length - 1)) / sum(row), height * tallestShare);
    let x = (width - sum(row) * high - gap * (row.length - 1)) / 2;
    for (const shape of row) {
      places.push({ x, y, width: shape * high, height: high });
      x += shape * high + gap;
    }
    y += high + gap;
  }
  return { places, height: y - gap };
}
