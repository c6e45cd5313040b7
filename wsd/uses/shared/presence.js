// Who is present in a topic.

/**
 * What a subscription needs to keep `present`, a Map from member to {user, state}, in the order in which they came:
 * topics.subscribe("room", presence(present, onchange)). `onchange` gets {change, member, state} of one who has joined,
 * left or changed, and {} after each connection. A state is whatever a member has sent: `read` makes it what the page
 * expects.
 */
export function presence(present, onchange, read = (state) => state) {
  // lesson: presence
  return {
    onmembers(members) {
      present.clear();
      for (const {member, user, state} of members) present.set(member, {user, state: read(state)});
      onchange({});
    },
    onpresence({change, member, user, state}) {
      if (change === "leave") present.delete(member);
      else present.set(member, {user, state: read(state)});
      onchange({change, member, state: read(state)});
    },
  };
  // end of lesson
}
