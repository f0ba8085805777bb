//! What a model is (`spec`), which ones are known (`archs`), where its weights go (`load`) and what it computes (`plan`).

pub mod load;
pub mod plan;
pub mod rope;
pub mod spec;
