//! Responses that the gateway makes itself: errors, redirects, CORS preflights.

use super::body::{BodyError, Piece};
use super::grpc::{self, End};
use super::reply::{Reply, ReplySink};
use crate::error::ErrorCode;
use codec::Field;
use codec::Framing;
use smallvec::SmallVec;

/// One field of an answer.
pub type AnswerField = (&'static str, Vec<u8>);

/// A whole response of our own.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    /// Set for errors; names them in the body, the log and the metrics.
    pub code: Option<ErrorCode>,
    pub fields: SmallVec<[AnswerField; 6]>,
    /// The answer is a gRPC status and nothing else (`Trailers-Only`).
    pub grpc: Option<End>,
}

impl Answer {
    pub fn error(code: ErrorCode) -> Self {
        Self { status: code.status(), code: Some(code), fields: SmallVec::new(), grpc: None }
    }

    /// An error in the protocol that the client speaks.
    pub fn failure(end: End, grpc: bool) -> Self {
        let Some(_) = end.status().filter(|_| grpc) else {
            return Self::error(end.code);
        };
        Self { status: 200, code: Some(end.code), fields: SmallVec::new(), grpc: Some(end) }
    }

    pub fn with_status(status: u16) -> Self {
        Self { status, code: None, fields: SmallVec::new(), grpc: None }
    }

    /// Send head and body. An error's body is one line of text for people: code and meaning, nothing about backends.
    ///
    /// # Errors
    /// The client cannot be reached.
    pub async fn send<Sink: ReplySink>(&self, client: &mut Sink, head_request: bool) -> Result<(), BodyError> {
        let body = self.code.filter(|_| self.grpc.is_none());
        let body = body.map(|code| format!("{}: {}\n", code.name(), code.meaning()));
        let status = self.grpc.and_then(|end| end.status().map(|status| (status.to_string(), end.message())));
        let date = httpdate();
        let mut fields: SmallVec<[Field<'_>; 8]> = SmallVec::new();
        fields.push(Field { name: b"date", value: date.as_bytes() });
        if body.is_some() {
            fields.push(Field { name: b"content-type", value: b"text/plain; charset=utf-8" });
        }
        if let Some((status, message)) = &status {
            fields.push(Field { name: b"content-type", value: grpc::CONTENT_TYPE });
            fields.push(Field { name: grpc::STATUS.as_bytes(), value: status.as_bytes() });
            fields.push(Field { name: grpc::MESSAGE.as_bytes(), value: message.as_bytes() });
        }
        fields.extend(self.fields.iter().map(|(name, value)| Field { name: name.as_bytes(), value }));
        let length = body.as_ref().map_or(0, String::len) as u64;
        let framing = if length == 0 || head_request { Framing::Empty } else { Framing::Length(length) };
        client.head(&Reply {
            status: self.status,
            reason: b"",
            fields: &fields,
            framing,
            announced_length: (length > 0).then_some(length),
        })?;
        if let (Some(body), false) = (&body, head_request) {
            client.write(Piece::Borrowed(body.as_bytes())).await?;
        }
        client.finish(None).await
    }
}

/// The time now as RFC 9110 section 5.6.7 wants it.
fn httpdate() -> String {
    let seconds = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    imf_fixdate(seconds)
}

fn imf_fixdate(seconds: u64) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (days, second_of_day) = (seconds / 86_400, seconds % 86_400);
    // Civil date from the day number: eras of 400 years that begin in March, so that the leap day comes last.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12;
    let year = era * 400 + year_of_era + u64::from(month < 2);
    format!(
        "{}, {day:02} {} {year} {:02}:{:02}:{:02} GMT",
        DAYS[usize::try_from(days % 7).unwrap_or(0)],
        MONTHS[usize::try_from(month).unwrap_or(0)],
        second_of_day / 3600,
        second_of_day / 60 % 60,
        second_of_day % 60
    )
}

#[cfg(test)]
mod tests {
    use super::imf_fixdate;

    #[test]
    fn dates() {
        for (seconds, text) in [
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"),
            (4_102_444_799, "Thu, 31 Dec 2099 23:59:59 GMT"),
        ] {
            assert_eq!(imf_fixdate(seconds), text);
        }
    }
}
