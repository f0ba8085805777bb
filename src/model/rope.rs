use super::spec::RopeSpec;
pub fn table(_r: &RopeSpec, _f: u32, _c: u32) -> Vec<f32> {
    todo!()
}
