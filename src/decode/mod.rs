//! What happens between the ids that a model draws and the reply that a reader sees.

pub mod stop;
