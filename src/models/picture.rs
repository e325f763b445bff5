//! placeholder
pub enum Format {
    Jpeg,
    Png,
    Gif,
}
impl Format {
    pub fn extension(&self) -> &'static str {
        "png"
    }
    pub fn content_type(&self) -> &'static str {
        "image/png"
    }
    pub fn of_key(_: &str) -> Format {
        Format::Png
    }
}
pub struct Picture {
    pub bytes: Vec<u8>,
    pub format: Format,
}
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    #[error("x")]
    X,
}
pub fn read<R: std::io::BufRead + std::io::Seek>(_f: R) -> Result<Picture, Refusal> {
    Err(Refusal::X)
}
