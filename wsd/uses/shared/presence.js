// Who is present in a topic.

/**
 * What a subscription needs to keep `present`, a Map from member to {user, state}, in the order in which they came:
 * topics.subscribe("room", presence(present, onchange)). `onchange` gets {change, member, state} of one who has joined,
 * left or changed, and {} after each connection.
 */
export function presence(present, onchange) {
  // lesson: presence
  return {
    onmembers(members) {
      present.clear();
      for (const {member, user, state} of members) present.set(member, {user, state});
      onchange({});
    },
    onpresence({change, member, user, state}) {
      if (change === "leave") present.delete(member);
      else present.set(member, {user, state});
      onchange({change, member, state});
    },
  };
  // end of lesson
}
