//! Long runs against the recycling proxy: real clients that recycle for as long as one likes, and hostile ones that
//! take what they can get. What was sent is counted at the clients and at the app.

fn main() {}
