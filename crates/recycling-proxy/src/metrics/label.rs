//! Enums whose variants are words of the public interface: each word is written once, and logs, metrics and
//! documentation take it from here. The enums know no metrics library ([`Counters`](super::Counters) takes their words).

/// Defines an enum with a label for each variant.
macro_rules! labels {
    ($(#[$doc:meta])* $vis:vis $name:ident { $(#[doc = $sentence:literal] $variant:ident = $label:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        $vis enum $name {
            $(#[doc = $sentence] $variant,)+
        }

        impl $name {
            /// Every variant, in the order in which they are documented.
            #[allow(dead_code, reason = "for documentation, and counters that begin at zero")]
            $vis const ALL: &[Self] = &[$(Self::$variant),+];

            /// The word for it in logs and metrics.
            $vis const fn label(self) -> &'static str {
                match self { $(Self::$variant => $label,)+ }
            }

            /// What it means, as a sentence.
            #[allow(dead_code, reason = "for documentation, and what clients are told")]
            $vis const fn sentence(self) -> &'static str {
                match self { $(Self::$variant => $sentence.trim_ascii(),)+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.label())
            }
        }
    };
}

pub(crate) use labels;
