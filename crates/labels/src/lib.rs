//! Enums whose variants are words of the public interface: values of metric labels, of fields in logs and in JSON.
//!
//! Each word, and the sentence that explains it, is written once; logs, metrics and documentation use it from here. The
//! enums do not depend on a metrics library. A variant without a word or a sentence does not compile. With
//! `strum::EnumMessage` it would, because its message is an `Option`.

/// Defines an enum with a label and a sentence for each variant. The sentence is its documentation.
///
/// ```
/// labels::labels!(
///     /// Which of the two peers is at fault.
///     pub Side {
///         /// The client.
///         Client = "client",
///         /// The app.
///         App = "app",
///     }
/// );
///
/// assert_eq!(Side::ALL.iter().map(|side| side.label()).collect::<Vec<_>>(), ["client", "app"]);
/// assert_eq!(Side::App.to_string(), "app");
/// assert_eq!(Side::App.sentence(), "The app.");
/// ```
#[macro_export]
macro_rules! labels {
    (
        $(#[$meta:meta])* $vis:vis $name:ident {
            $($(#[doc = $sentence:literal])+ $variant:ident = $label:literal),+ $(,)?
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        $vis enum $name {
            $($(#[doc = $sentence])+ $variant,)+
        }

        impl $name {
            /// Every variant, in the order in which they are documented.
            #[allow(dead_code, reason = "for documentation, and counters that begin at zero")]
            $vis const ALL: &[Self] = &[$(Self::$variant),+];

            /// Returns the word for it in logs and metrics.
            $vis const fn label(self) -> &'static str {
                match self { $(Self::$variant => $label,)+ }
            }

            /// Returns what it means, as a sentence.
            #[allow(dead_code, reason = "for documentation, and what people are told")]
            $vis const fn sentence(self) -> &'static str {
                match self { $(Self::$variant => concat!($($sentence),+).trim_ascii(),)+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.label())
            }
        }
    };
}
