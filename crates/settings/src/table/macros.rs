//! The macros behind the table of settings. Of each row they make the variants of enums, and of shared rows the fields.

/// Defines [`Annotation`], [`ProxyOption`] and [`SharedSettings`] from rows, which begin with `annotation`, `option` or
/// `shared`. A `shared` row is a row of each kind.
///
/// It takes one row after the other and puts it into lists, in which the order of the rows is kept.
///
/// [`Annotation`]: super::Annotation
/// [`ProxyOption`]: super::ProxyOption
/// [`SharedSettings`]: super::SharedSettings
macro_rules! settings {
    (@sorted [$($annotations:tt)*] [$($options:tt)*] [$($shared:tt)*]) => {
        annotations! { $($annotations)* }
        options! {
            /// The options of `recycling-proxy run`.
            ProxyOption { $($options)* }
        }
        shared! { $($shared)* }
    };
    (
        @sorted [$($annotations:tt)*] [$($options:tt)*] [$($shared:tt)*]
        annotation $variant:ident: $name:literal, $value:literal, $default:literal, $by_default:literal, $help:literal;
        $($rows:tt)*
    ) => {
        settings! {
            @sorted [$($annotations)* $variant: $name, $value, $default, $by_default, $help;] [$($options)*] [$($shared)*]
            $($rows)*
        }
    };
    (
        @sorted [$($annotations:tt)*] [$($options:tt)*] [$($shared:tt)*]
        option $variant:ident: $flag:literal, $env:literal, $value_name:literal, $default:expr, $list:literal, $help:literal;
        $($rows:tt)*
    ) => {
        settings! {
            @sorted [$($annotations)*] [$($options)* $variant: $flag, $env, $value_name, $default, $list, $help;] [$($shared)*]
            $($rows)*
        }
    };
    (
        @sorted [$($annotations:tt)*] [$($options:tt)*] [$($shared:tt)*]
        shared $field:ident: $type:ty, read as $text:ty {
            annotation: $annotation:ident, $name:literal, $by_default:literal;
            option: $option:ident, $flag:literal, $env:literal, $value_name:literal;
            value: $value:literal, $default:literal;
            help: $help:literal;
        }
        $($rows:tt)*
    ) => {
        settings! {
            @sorted
            [$($annotations)* $annotation: $name, $value, $default, $by_default, concat!($help, ".");]
            [$($options)* $option: $flag, $env, $value_name, Some($default), false, concat!($help, ": ", $value, ".");]
            [$($shared)* $field: $type, $text, $annotation, $option, concat!($help, ".");]
            $($rows)*
        }
    };
    ($($rows:tt)+) => { settings! { @sorted [] [] [] $($rows)+ } };
}

/// Defines the annotations; every fact is written once.
macro_rules! annotations {
    ($($variant:ident: $name:literal, $value:literal, $default:literal, $by_default:literal, $help:expr;)+) => {
        /// An annotation that a user can set.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Annotation {
            $(#[doc = $help] $variant,)+
        }

        impl Annotation {
            /// Every annotation, in the order in which they are documented.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// Returns the key without its prefix.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// Returns the whole key.
            pub const fn key(self) -> &'static str {
                match self { $(Self::$variant => concat!("evenkeel.dev/", $name),)+ }
            }

            /// Returns the form of its value, for documentation.
            pub const fn value_form(self) -> &'static str {
                match self { $(Self::$variant => $value,)+ }
            }

            /// Returns the value that holds where it is absent, or a phrase where that is no value of its own.
            pub const fn default_text(self) -> &'static str {
                match self { $(Self::$variant => $default,)+ }
            }

            /// Returns whether the installation can give a default for it.
            pub const fn takes_installation_default(self) -> bool {
                match self { $(Self::$variant => $by_default,)+ }
            }

            /// Returns what it means.
            pub const fn help(self) -> &'static str {
                match self { $(Self::$variant => $help,)+ }
            }
        }
    };
}

/// Defines an option enum; every fact is written once.
macro_rules! options {
    ($(#[$doc:meta])* $name:ident {
        $($variant:ident: $flag:literal, $env:literal, $value_name:literal, $default:expr, $list:literal, $help:expr;)+
    }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum $name {
            $(#[doc = $help] $variant,)+
        }

        impl OptionSpec for $name {
            const ALL: &'static [Self] = &[$(Self::$variant),+];

            fn flag(self) -> &'static str {
                match self { $(Self::$variant => $flag,)+ }
            }

            fn env(self) -> &'static str {
                match self { $(Self::$variant => $env,)+ }
            }

            fn value_name(self) -> &'static str {
                match self { $(Self::$variant => $value_name,)+ }
            }

            fn default(self) -> Option<&'static str> {
                match self { $(Self::$variant => $default,)+ }
            }

            fn help(self) -> &'static str {
                match self { $(Self::$variant => $help,)+ }
            }

            fn is_list(self) -> bool {
                match self { $(Self::$variant => $list,)+ }
            }
        }
    };
}

/// Defines the settings that annotations and options share. Fields are converted from and into the type that their text
/// is read as.
macro_rules! shared {
    ($($field:ident: $type:ty, $text:ty, $annotation:ident, $option:ident, $help:expr;)+) => {
        /// The settings that are annotation and option alike: the proxy gets them as the annotation says.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct SharedSettings {
            $(#[doc = $help] pub $field: $type,)+
        }

        impl SharedSettings {
            /// The annotation and the option of each setting, in the order of the table.
            pub const KEYS: &[(Annotation, ProxyOption)] = &[$((Annotation::$annotation, ProxyOption::$option)),+];

            pub(crate) fn parse(source: &impl Source, faults: &mut Vec<Fault>) -> Option<Self> {
                // Every setting is parsed before the first `?`, so that no fault hides another.
                $(let $field = source.one::<$text>(Annotation::$annotation, ProxyOption::$option, faults);)+
                Some(Self { $($field: $field?.into(),)+ })
            }

            /// Returns the text of each setting, from which it can be parsed again, in the order of [`Self::KEYS`].
            pub fn texts(&self) -> Vec<String> {
                vec![$(<$text>::from(self.$field).to_string()),+]
            }
        }

        /// The pattern of all options that are shared.
        macro_rules! shared_option {
            () => { $(ProxyOption::$option)|+ };
        }

        pub(crate) use shared_option;
    };
}
