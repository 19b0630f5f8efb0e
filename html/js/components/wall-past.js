// The wall's timeline: one bar for all tiles. In the past they play in step
// (step-player.js); live, each by itself. To the timeline the group is one tile.

import { emit } from '../dom.js';
import { GroupHistory } from '../group-history.js';
import { StepPlayer } from '../step-player.js';
import { mountReplay } from './replay.js';

// mountPast(root, {list, cells, at, stage}) -> {element, mode, key, setCells, destroy}; stage: the element in which the
// tiles' events bubble up
export function mountPast(root, { list, cells, at, stage }) {
  const history = new GroupHistory(list);
  const group = makeGroup(stage, history);
  setCells(cells);
  const replay = mountReplay(root, { list, tile: group, at, history });

  function setCells(next) {
    history.setStreams([...new Set(next.map(({ stream }) => stream))]);
    group.setCells(next);
  }

  return {
    element: replay.element,
    key: replay.key,
    get mode() { return group.mode; },
    setCells,
    /** toLive: the tiles stay and are live again. */
    destroy({ toLive = false } = {}) {
      replay.destroy();
      if (toLive) group.toLive();
      else group.leave();
    },
  };
}

// The tiles as one, with the interface that mountReplay uses of a tile.
function makeGroup(element, history) {
  let cells = [];
  let mode = 'live';
  const live = {
    // The time of the pictures on the screen: of the first that has one.
    get shownAt() {
      return cells.map(({ tile }) => tile.shownAt).find(Number.isFinite) ?? NaN;
    },
  };
  let player = live;

  const leadTiles = () =>
    player.setTiles(cells.map(({ stream, tile, say }) => ({ tile, say, history: history.members.get(stream) })));

  function leave(nextMode, nextPlayer) {
    if (player !== live) player?.destroy();
    player = nextPlayer;
    mode = nextMode;
    element.dataset.mode = mode;
  }

  return {
    element,
    leave: () => leave('left', null),
    get mode() { return mode; },
    get player() { return player; },
    get shownAt() { return live.shownAt; },
    get phase() {
      if (mode !== 'live') return player?.phase ?? 'paused';
      return cells.some(({ tile }) => tile.phase === 'playing') ? 'playing' : 'connecting';
    },
    setCells(next) {
      cells = next;
      if (mode === 'history') leadTiles();
      if (mode === 'held') for (const { tile } of cells) if (tile.mode === 'live') tile.hold();
    },
    toHistory() {
      if (mode !== 'history') {
        leave('history', new StepPlayer());
        leadTiles();
        player.addEventListener('phase', () => emit(element, 'tile:phase', { phase: player?.phase, mode }));
      }
      return player;
    },
    toLive() {
      if (mode === 'live') return;
      leave('live', live);
      for (const { tile, say } of cells) {
        say(null);
        tile.toLive();
      }
    },
    hold() {
      leave('held', null);
      for (const { tile } of cells) tile.hold();
    },
  };
}
