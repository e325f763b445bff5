//! The Content-Disposition header of a field in a multipart form.

#[derive(Debug, PartialEq, Eq)]
pub struct Disposition {
    pub name: String,
    /// Whether a file was chosen. Its name is not used.
    pub has_file: bool,
}

impl Disposition {
    /// Parses bytes, not text: a file name can be in any encoding, and in Shift_JIS the second byte of a character can
    /// be a backslash. Browsers escape `"` as %22 and use no backslash escapes (WHATWG HTML, multipart/form-data
    /// encoding algorithm). `None` if there is no name.
    pub fn parse(header: &[u8]) -> Option<Disposition> {
        let (kind, mut rest) = split(header, b';');
        let (mut name, mut has_file) = (None, false);
        while kind.trim_ascii().eq_ignore_ascii_case(b"form-data") && !rest.is_empty() {
            let (key, after) = split(rest, b'=');
            let after = after.trim_ascii_start();
            let value;
            (value, rest) = match after.strip_prefix(b"\"") {
                Some(quoted) if !quoted.contains(&b'"') => break,
                Some(quoted) => {
                    let (value, after) = split(quoted, b'"');
                    (value, split(after, b';').1)
                }
                None => {
                    let (value, rest) = split(after, b';');
                    (value.trim_ascii(), rest)
                }
            };
            match key.trim_ascii().to_ascii_lowercase().as_slice() {
                b"name" if name.is_none() => name = Some(String::from_utf8_lossy(value).into_owned()),
                b"filename" | b"filename*" => has_file |= !value.is_empty(),
                _ => {}
            }
        }
        name.map(|name| Disposition { name, has_file })
    }
}

/// Splits at the first `at`; without one, the second part is empty.
fn split(bytes: &[u8], at: u8) -> (&[u8], &[u8]) {
    match bytes.iter().position(|byte| *byte == at) {
        Some(index) => (&bytes[..index], &bytes[index + 1..]),
        None => (bytes, &[]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_name_whatever_the_file_is_called() {
        let read = |header: &[u8]| Disposition::parse(header).map(|field| (field.name, field.has_file));
        let picture = |has_file| Some(("micropost[picture]".to_owned(), has_file));
        for file in [
            &b"a.jpg"[..],
            b"\x95\x5c\x8e\xa6\x83\x5c.jpg",
            b"\x83\x5c",
            b"a\\\"b;c=d.jpg",
            b"a%22b.jpg",
            b"\xff\xfe",
            "写真.jpg".as_bytes(),
            b"a; name=b",
        ] {
            let header = [b"form-data; name=\"micropost[picture]\"; filename=\"", file, b"\""].concat();
            assert_eq!(read(&header), picture(true), "{}", header.escape_ascii());
        }
        assert_eq!(read(b"form-data; name=\"micropost[picture]\"; filename=\"\""), picture(false));
        assert_eq!(read(b"Form-Data;NAME=micropost[picture] ; Filename=a.jpg"), picture(true));
        assert_eq!(read(b"form-data; filename*=UTF-8''a.jpg; name=\"micropost[picture]\""), picture(true));
        assert_eq!(read(b"form-data; name=\"\""), Some((String::new(), false)));
        assert_eq!(read(b"form-data; name=\"x\"; filename=\"never closed"), Some(("x".into(), false)));
    }

    #[test]
    fn a_field_without_a_name_is_none() {
        for header in
            [&b""[..], b"form-data", b"form-data;", b"form-data; name=\"x", b"attachment; name=\"x\"", b"=;="]
        {
            assert_eq!(Disposition::parse(header), None, "{}", header.escape_ascii());
        }
    }
}
