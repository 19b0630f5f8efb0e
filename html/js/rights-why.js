// Why a person has rights on a stream, as keys of texts. Pure: no DOM here.

/** why: a reason in the answer of GET /api/users/NAME. */
export function reasonKey({ by, app }) {
  if (by === 'owner') return 'why.owner';
  if (by === 'public') return 'why.public';
  if (by === 'group') return app ? 'why.groupApp' : 'why.group';
  return app ? 'why.app' : 'why.grant';
}

/** The streams, those with the most rights first, then by name. */
export function byRights(streams) {
  return [...streams].sort((a, b) =>
    b.rights.length - a.rights.length || `${a.app}/${a.name}`.localeCompare(`${b.app}/${b.name}`));
}
