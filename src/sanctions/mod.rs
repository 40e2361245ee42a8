//! What clients are kept from, whoever has seen to that: who is banned, for how long, by whom and why;
//! and who never is. Whoever asks keeps the tables and tells the time.

mod allowed;
mod settings;
mod subject;
mod table;

pub use allowed::Allowed;
pub use settings::Settings;
pub use subject::{Kind, Subject, SubjectError, Suspect};
pub use table::{Author, PutError, Sanction, Standing, Table};
