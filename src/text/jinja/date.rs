//! `strftime` for chat templates that print today's date, in English, with the directives of glibc.

const DAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// Year, month 1..12, day 1..31 of a day since 1970-01-01 (Howard Hinnant's `civil_from_days`).
fn civil(days: i64) -> (i64, usize, i64) {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let day_of_era = z.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month as usize, day)
}

/// The week of ISO 8601 and the year it belongs to.
fn iso_week(year: i64, day_of_year: i64, weekday: i64) -> (i64, i64) {
    let week = (day_of_year - (weekday + 6) % 7 + 9) / 7;
    let long = |year: i64| {
        // Years with 53 weeks end on a Thursday, or on a Friday when they are leap years.
        let end = |y: i64| (y + y.div_euclid(4) - y.div_euclid(100) + y.div_euclid(400)).rem_euclid(7);
        end(year) == 4 || end(year - 1) == 3
    };
    match week {
        0 => (year - 1, if long(year - 1) { 53 } else { 52 }),
        53 if !long(year) => (year + 1, 1),
        week => (year, week),
    }
}

/// Formats `seconds` since 1970-01-01 00:00 of the reader's own clock. What is no directive is printed as it is.
pub(super) fn strftime(seconds: i64, format: &str) -> String {
    // The years 1 to 9999, as Python's datetime has them.
    let seconds = seconds.clamp(-62_135_596_800, 253_402_300_799);
    let days = seconds.div_euclid(86_400);
    let second_of_day = seconds.rem_euclid(86_400);
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (second_of_day / 3600, second_of_day / 60 % 60, second_of_day % 60);
    let weekday = (days + 4).rem_euclid(7);
    let first = days - day + 1 - (1..month).map(|m| days_in(year, m)).sum::<i64>();
    let day_of_year = days - first;
    let (iso_year, iso_week) = iso_week(year, day_of_year, weekday);
    let hour12 = (hour + 11) % 12 + 1;
    let half = if hour < 12 { "AM" } else { "PM" };
    let mut out = String::new();
    let mut rest = format;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        let whole = &rest[at..];
        let mut chars = whole[1..].chars();
        let mut flag = None;
        let mut directive = chars.next();
        while let Some(c @ ('-' | '_' | '0' | '^' | '#')) = directive {
            flag = Some(c);
            directive = chars.next();
        }
        // Other forms of a locale: there is one only.
        if matches!(directive, Some('E' | 'O')) {
            directive = chars.next();
        }
        rest = chars.as_str();
        let text = match directive {
            Some('Y') => year.to_string(),
            Some('G') => iso_year.to_string(),
            Some('C') => format!("{:02}", year / 100),
            Some('y') => format!("{:02}", year % 100),
            Some('g') => format!("{:02}", iso_year % 100),
            Some('m') => format!("{month:02}"),
            Some('d') => format!("{day:02}"),
            Some('e') => format!("{day:2}"),
            Some('B') => MONTHS[month - 1].into(),
            Some('b' | 'h') => MONTHS[month - 1][..3].into(),
            Some('A') => DAYS[weekday as usize].into(),
            Some('a') => DAYS[weekday as usize][..3].into(),
            Some('w') => weekday.to_string(),
            Some('u') => ((weekday + 6) % 7 + 1).to_string(),
            Some('j') => format!("{:03}", day_of_year + 1),
            Some('U') => format!("{:02}", (day_of_year + 7 - weekday) / 7),
            Some('W') => format!("{:02}", (day_of_year + 7 - (weekday + 6) % 7) / 7),
            Some('V') => format!("{iso_week:02}"),
            Some('H') => format!("{hour:02}"),
            Some('k') => format!("{hour:2}"),
            Some('I') => format!("{hour12:02}"),
            Some('l') => format!("{hour12:2}"),
            Some('M') => format!("{minute:02}"),
            Some('S') => format!("{second:02}"),
            Some('f') => "000000".into(),
            Some('p') => half.into(),
            Some('P') => half.to_lowercase(),
            Some('F') => format!("{year}-{month:02}-{day:02}"),
            Some('D' | 'x') => format!("{month:02}/{day:02}/{:02}", year % 100),
            Some('T' | 'X') => format!("{hour:02}:{minute:02}:{second:02}"),
            Some('r') => format!("{hour12:02}:{minute:02}:{second:02} {half}"),
            Some('R') => format!("{hour:02}:{minute:02}"),
            Some('c') => strftime(seconds, "%a %b %e %H:%M:%S %Y"),
            Some('s') => seconds.to_string(),
            // A time without a zone.
            Some('z' | 'Z') => String::new(),
            Some('n') => "\n".into(),
            Some('t') => "\t".into(),
            Some('%') => "%".into(),
            _ => whole[..whole.len() - rest.len()].into(),
        };
        let padded = text.starts_with(['0', ' ']) && text.len() > 1;
        out.push_str(&match flag {
            Some('-') if padded => {
                let short = text.trim_start_matches(['0', ' ']);
                if short.is_empty() { "0" } else { short }.to_string()
            }
            Some('_') if padded => {
                let short = text.trim_start_matches('0');
                format!("{short:>width$}", width = text.len())
            }
            Some('0') if padded => text.replace(' ', "0"),
            Some('^') => text.to_uppercase(),
            Some('#') if directive == Some('p') => text.to_lowercase(),
            Some('#') => text.to_uppercase(),
            _ => text,
        });
    }
    out + rest
}

fn days_in(year: i64, month: usize) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::strftime;

    #[test]
    fn formats_as_python_does() {
        let all = "%Y-%m-%d %H:%M:%S %a %A %b %B %j %y %I %p %-d %w";
        for (seconds, expected) in [
            (0, "1970-01-01 00:00:00 Thu Thursday Jan January 001 70 12 AM 1 4"),
            (1_721_952_000, "2024-07-26 00:00:00 Fri Friday Jul July 208 24 12 AM 26 5"),
            (1_709_251_199, "2024-02-29 23:59:59 Thu Thursday Feb February 060 24 11 PM 29 4"),
            (951_868_800, "2000-03-01 00:00:00 Wed Wednesday Mar March 061 00 12 AM 1 3"),
            (-1, "1969-12-31 23:59:59 Wed Wednesday Dec December 365 69 11 PM 31 3"),
        ] {
            assert_eq!(strftime(seconds, all), expected);
        }
        assert_eq!(strftime(0, "%% %-H%n%Q%"), "% 0\n%Q%");
        // As GNU date prints them.
        assert_eq!(
            strftime(1_609_459_199, "%G-%V %U %W %g %C %r %P %l|%k %^a"),
            "2020-53 52 52 20 20 11:59:59 PM pm 11|23 THU"
        );
        assert_eq!(strftime(1_609_459_200, "%G-%V %U %W %_d %0e %-j"), "2020-53 00 00  1 01 1");
        assert!(strftime(i64::MAX, "%Y") == "9999" && strftime(i64::MIN, "%Y") == "0001");
    }
}
