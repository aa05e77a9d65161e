//! Pictures: decoding, metadata, malformed files, and the pixel engine against its references.

mod animation;
mod avif;
mod compare;
mod corpus;
mod decode;
mod device;
mod encode;
mod findings;
mod jxl;
mod malformed;
mod metadata;
mod orientation;
mod outcomes;
mod pipeline;
mod planes;
mod plans;
mod recovery;
mod reference;
mod routing;
mod scaled;
mod settings;
mod shaders;
mod twin;
