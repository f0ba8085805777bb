//! `Params` of a kernel: one declaration gives the struct that goes to the shader and the list of its fields, which
//! `tests/shaders.rs` compares with the members of the WGSL struct by name, place and type.

use bytemuck::Pod;

/// Scalars that shaders and Rust share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scalar {
    /// `u32`
    U32,
    /// `f32`
    F32,
}

/// A field of a struct that a shader reads; fields of nested structs count as fields of the outer one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    /// Name, the same in WGSL.
    pub name: &'static str,
    /// First byte.
    pub offset: usize,
    /// Element type.
    pub scalar: Scalar,
    /// Scalars: more than one for vectors.
    pub len: usize,
}

/// What a field of a struct of [`params!`](crate::kernels::params) may be.
pub trait Member {
    /// Appends the fields of a value at `offset`, which the struct around it calls `name`.
    fn fields_at(name: &'static str, offset: usize, fields: &mut Vec<Field>);
}

impl Member for u32 {
    fn fields_at(name: &'static str, offset: usize, fields: &mut Vec<Field>) {
        fields.push(Field { name, offset, scalar: Scalar::U32, len: 1 });
    }
}

impl Member for f32 {
    fn fields_at(name: &'static str, offset: usize, fields: &mut Vec<Field>) {
        fields.push(Field { name, offset, scalar: Scalar::F32, len: 1 });
    }
}

impl<const N: usize> Member for [u32; N] {
    fn fields_at(name: &'static str, offset: usize, fields: &mut Vec<Field>) {
        fields.push(Field { name, offset, scalar: Scalar::U32, len: N });
    }
}

/// All fields of a struct.
pub fn fields<T: Member>() -> Vec<Field> {
    let mut fields = Vec::new();
    T::fields_at("", 0, &mut fields);
    fields
}

/// Bytes of `Step::params` for a struct with these fields: uniform bindings are padded to 16.
pub fn padded_bytes(fields: &[Field]) -> usize {
    fields.last().map_or(0, |f| f.offset + 4 * f.len).next_multiple_of(16)
}

/// `Step::params`: the bytes of `params`, padded with zeros.
pub fn encode<T: Pod>(params: &T) -> Vec<u8> {
    let mut bytes = bytemuck::bytes_of(params).to_vec();
    bytes.resize(bytes.len().next_multiple_of(16), 0);
    bytes
}

/// The struct that [`encode`] wrote. Panics when there are too few bytes: a bug in the kernel file.
pub fn decode<T: Pod>(bytes: &[u8]) -> T {
    bytemuck::pod_read_unaligned(&bytes[..size_of::<T>()])
}

/// Declares a `repr(C)` struct of `u32`, `f32`, `[u32; N]` and such structs as a shader sees it.
macro_rules! params {
    ($(#[$meta:meta])* $vis:vis struct $name:ident {
        $($(#[$field_meta:meta])* $field_vis:vis $field:ident: $ty:ty,)*
    }) => {
        $(#[$meta])*
        #[repr(C)]
        #[derive(Debug, Clone, Copy, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
        $vis struct $name {
            $($(#[$field_meta])* $field_vis $field: $ty,)*
        }

        impl $crate::kernels::params::Member for $name {
            fn fields_at(_: &'static str, offset: usize, fields: &mut Vec<$crate::kernels::params::Field>) {
                $(<$ty as $crate::kernels::params::Member>::fields_at(
                    stringify!($field),
                    offset + std::mem::offset_of!($name, $field),
                    fields,
                );)*
            }
        }
    };
}
pub(crate) use params;

#[cfg(test)]
mod tests {
    use super::*;

    params! {
        /// Inner.
        struct Inner { a: u32, b: f32, }
    }
    params! {
        /// Outer.
        struct Outer { inner: Inner, c: [u32; 3], }
    }

    #[test]
    fn fields_are_flat_and_bytes_padded() {
        let found = fields::<Outer>();
        let field = |name, offset, scalar, len| Field { name, offset, scalar, len };
        let expected = [field("a", 0, Scalar::U32, 1), field("b", 4, Scalar::F32, 1), field("c", 8, Scalar::U32, 3)];
        assert_eq!(found, expected);
        let outer = Outer { inner: Inner { a: 1, b: 2.0 }, c: [3, 4, 5] };
        let bytes = encode(&outer);
        assert_eq!((bytes.len(), padded_bytes(&found)), (32, 32));
        assert_eq!(decode::<Outer>(&bytes), outer);
    }
}
