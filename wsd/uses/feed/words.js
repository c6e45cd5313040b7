// The words of the page of the feed.

import {addWords} from "/_wsd/language.js";

addWords({
  en: {
    name: "Your name", text: "What is new?", picture: "Add a picture", post: "Post",
    alt: "What the picture shows, for those who cannot see it", remove: "Remove the picture",
    people: "People", nobody: "Nobody has posted yet.", follow: "Follow", unfollow: "Unfollow",
    followPerson: "Follow {name}", unfollowPerson: "Unfollow {name}", you: "{name} (you)", guest: "Guest {number}",
    timeline: "Posts from people you follow", empty: "There are no posts yet. Write the first one.",
    newer: "New posts above: {count}", like: "Like", likes: "Like: {count}", posting: "Posting...",
    uploading: "Uploading the picture: {share}%", noPicture: "This browser cannot show {name} as a picture.",
    failed: "The post failed: {reason}", notLiked: "The like failed: {reason}",
  },
  zh: {
    name: "你的名字", text: "有什么新鲜事？", picture: "添加图片", post: "发布",
    alt: "图片内容说明（供看不到图片的人使用）", remove: "移除图片",
    people: "成员", nobody: "还没有人发布动态。", follow: "关注", unfollow: "取消关注",
    followPerson: "关注 {name}", unfollowPerson: "取消关注 {name}", you: "{name}（你）", guest: "访客 {number}",
    timeline: "你关注的人的动态", empty: "还没有动态，来发布第一条吧。",
    newer: "上方有 {count} 条新动态", like: "赞", likes: "赞：{count}", posting: "正在发布…",
    uploading: "正在上传图片：{share}%", noPicture: "{name} 不是本浏览器能显示的图片。",
    failed: "发布失败：{reason}", notLiked: "点赞失败：{reason}",
  },
});
