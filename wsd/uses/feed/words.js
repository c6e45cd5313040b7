// The words of the page of the feed.

import {addWords} from "/_wsd/language.js";

addWords({
  en: {
    text: "What is new?", post: "Post",
    people: "People", nobody: "Nobody has posted yet.", follow: "Follow", unfollow: "Unfollow",
    followPerson: "Follow {name}", unfollowPerson: "Unfollow {name}",
    timeline: "Posts from people you follow", empty: "There are no posts yet. Write the first one.",
    newer: "New posts above: {count}", like: "Like", likes: "Like: {count}", posting: "Posting...",
    notLiked: "The like failed: {reason}",
  },
  zh: {
    text: "有什么新鲜事？", post: "发布",
    people: "成员", nobody: "还没有人发布动态。", follow: "关注", unfollow: "取消关注",
    followPerson: "关注 {name}", unfollowPerson: "取消关注 {name}",
    timeline: "你关注的人的动态", empty: "还没有动态，来发布第一条吧。",
    newer: "上方有 {count} 条新动态", like: "赞", likes: "赞：{count}", posting: "正在发布…",
    notLiked: "点赞失败：{reason}",
  },
});
