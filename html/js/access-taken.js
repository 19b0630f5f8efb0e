// Whose access ends with a session: the grants that let its user do what the session does, and what would let the
// user do it without them. Pure: no DOM.

const rightOf = { publish: 'publish', view: 'view', replay: 'replay' };

/**
 * For a session and the grants on its stream and app: {right, take, groups, owner, isPublic}. `take` are the user's own
 * grants of that right; `groups` have it, too, so that their members keep it. Null for a session without a right, such
 * as a page. stream: of the list, or undefined.
 */
export function accessOf(session, grants, stream) {
  const right = rightOf[session.kind];
  if (!right || !session.user || !session.stream) return null;
  const giving = grants.filter((grant) => grant.rights.includes(right) && covers(grant, session.stream));
  return {
    right,
    take: giving.filter((grant) => grant.user === session.user),
    groups: giving.filter((grant) => grant.group).map((grant) => grant.group),
    owner: stream?.owner === session.user,
    isPublic: right === 'view' && stream?.visibility === 'public',
  };
}

function covers(grant, stream) {
  return grant.name ? `${grant.app}/${grant.name}` === stream : stream.startsWith(`${grant.app}/`);
}

/** What DELETE /api/grants needs to take only this right of the grant. */
export function grantWithout({ user, app, name }, right) {
  return { user, app, ...(name ? { name } : {}), rights: [right] };
}
