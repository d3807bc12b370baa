//! The pages of the repository hold together: links, the summary of the site, and the commands that pages show.

mod book;
mod commands;
mod links;
mod page;
mod summary;
