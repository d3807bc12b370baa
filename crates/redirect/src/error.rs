//! Errors while the rules are set, and who can repair them.

use std::fmt;
use std::io;

use rustix::io::Errno;

/// Why connections are not redirected. The previous rules stay in force.
#[derive(Debug, thiserror::Error)]
pub enum RedirectError {
    /// The container may not change the network.
    #[error(
        "the kernel refused to change this pod's network rules (EPERM): the init container needs the NET_ADMIN \
         capability; a namespace that enforces Pod Security level baseline or restricted takes it away"
    )]
    NotPermitted,
    /// The kernel, or the sandbox in its place, has no `nf_tables`.
    #[error(
        "this node has no nf_tables ({0}): its kernel needs CONFIG_NF_TABLES (module nf_tables); \
         a sandbox such as gVisor, which has a network stack of its own, does not offer it"
    )]
    NoNfTables(Errno),
    /// The kernel cannot translate addresses of IPv4 and IPv6 in one table.
    #[error(
        "this node's kernel has no nat chains in tables of family inet ({0}): expected Linux 5.2 or later with \
         CONFIG_NF_TABLES_INET and CONFIG_NFT_NAT (module nft_chain_nat)"
    )]
    NoInetNat(Errno),
    /// The kernel lacks the `redirect` statement.
    #[error("this node's kernel cannot redirect connections ({0}): it needs CONFIG_NFT_REDIR (module nft_redir)")]
    NoRedirect(Errno),
    /// The kernel lacks the `dnat` statement.
    #[error("this node's kernel cannot translate ports ({0}): it needs CONFIG_NFT_NAT (module nft_nat)")]
    NoNat(Errno),
    /// The kernel lacks the `ct` statement.
    #[error("this node's kernel cannot match packets by connection ({0}): it needs CONFIG_NFT_CT (module nft_ct)")]
    NoConnectionState(Errno),
    /// The kernel refused for a reason that is not recognised.
    #[error(
        "the kernel refused to {step} in nf_tables ({errno}): expected Linux 5.2 or later with its nf_tables modules"
    )]
    Refused {
        /// The step that it refused.
        step: Step,
        /// Its error.
        errno: Errno,
    },
    /// The kernel did not acknowledge a message: a fault of the kernel's or of this program.
    #[error("the kernel did not answer when asked to {0} in nf_tables: expected an acknowledgement for every message")]
    Unanswered(Step),
    /// The netlink socket failed.
    #[error("talking to the kernel over netlink failed: {0}")]
    Netlink(#[from] io::Error),
}

/// The step of a transaction that one message asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Begin the transaction.
    Begin,
    /// Create the table unless it exists, so that it can be deleted.
    EnsureTable,
    /// Delete the table with all that is in it.
    DeleteTable,
    /// Create the table.
    CreateTable,
    /// Create the set of intercepted ports.
    CreateSet,
    /// Put ports into the set.
    AddPorts,
    /// Create the chain that redirects.
    CreateNatChain,
    /// Create the rule that redirects.
    CreateRedirectRule,
    /// Create a rule that translates the port of probes to the app's.
    CreateProbeRule,
    /// Create a chain that drops packets.
    CreateFilterChain,
    /// Create a rule that drops packets.
    CreateDropRule,
    /// Create a rule that drops data in connections of probes.
    CreateSilenceRule,
    /// End the transaction.
    Commit,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Begin => "begin a transaction",
            Self::EnsureTable => "open the table",
            Self::DeleteTable => "delete the earlier table",
            Self::CreateTable => "create the table",
            Self::CreateSet => "create the set of ports",
            Self::AddPorts => "add ports to the set",
            Self::CreateNatChain => "create the nat chain",
            Self::CreateRedirectRule => "create the redirect rule",
            Self::CreateProbeRule => "create a rule for probes",
            Self::CreateFilterChain => "create a filter chain",
            Self::CreateDropRule => "create a rule against invalid packets",
            Self::CreateSilenceRule => "create a rule against data in probes",
            Self::Commit => "commit the transaction",
        })
    }
}

impl RedirectError {
    /// Returns the error for `errno`, with which the kernel answered `step`.
    pub(super) fn of_answer(step: Step, errno: Errno) -> Self {
        // The feature is not built in, and no module for it could be loaded.
        let absent = matches!(errno, Errno::NOENT | Errno::OPNOTSUPP | Errno::AFNOSUPPORT | Errno::PROTONOSUPPORT);
        match step {
            _ if matches!(errno, Errno::PERM | Errno::ACCESS) => Self::NotPermitted,
            Step::Begin if absent || errno == Errno::INVAL => Self::NoNfTables(errno),
            Step::EnsureTable | Step::CreateNatChain if absent => Self::NoInetNat(errno),
            Step::CreateRedirectRule if absent => Self::NoRedirect(errno),
            Step::CreateProbeRule if absent => Self::NoNat(errno),
            Step::CreateDropRule if absent => Self::NoConnectionState(errno),
            Step::Begin
            | Step::EnsureTable
            | Step::DeleteTable
            | Step::CreateTable
            | Step::CreateSet
            | Step::AddPorts
            | Step::CreateNatChain
            | Step::CreateRedirectRule
            | Step::CreateProbeRule
            | Step::CreateFilterChain
            | Step::CreateDropRule
            | Step::CreateSilenceRule
            | Step::Commit => Self::Refused { step, errno },
        }
    }

    /// Returns the error for `errno`, with which the kernel refused a netlink socket for netfilter.
    pub(super) fn of_socket(errno: Errno) -> Self {
        match errno {
            Errno::PROTONOSUPPORT | Errno::AFNOSUPPORT | Errno::OPNOTSUPP => Self::NoNfTables(errno),
            Errno::PERM | Errno::ACCESS => Self::NotPermitted,
            _ => Self::Netlink(errno.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_name_the_missing_capability_module_or_kernel_option() {
        for (step, errno, words) in [
            (Step::Begin, Errno::PERM, "NET_ADMIN"),
            (Step::CreateNatChain, Errno::PERM, "NET_ADMIN"),
            (Step::Begin, Errno::OPNOTSUPP, "module nf_tables"),
            (Step::CreateNatChain, Errno::NOENT, "CONFIG_NFT_NAT"),
            (Step::CreateNatChain, Errno::OPNOTSUPP, "Linux 5.2"),
            (Step::EnsureTable, Errno::AFNOSUPPORT, "CONFIG_NF_TABLES_INET"),
            (Step::CreateRedirectRule, Errno::NOENT, "module nft_redir"),
            (Step::CreateProbeRule, Errno::NOENT, "module nft_nat"),
            (Step::CreateDropRule, Errno::NOENT, "module nft_ct"),
            (Step::AddPorts, Errno::NOMEM, "refused to add ports to the set"),
            (Step::CreateNatChain, Errno::BUSY, "refused to create the nat chain"),
            (Step::CreateSet, Errno::NOENT, "refused to create the set"),
        ] {
            let said = RedirectError::of_answer(step, errno).to_string();
            assert!(said.contains(words), "{step:?} {errno:?}: {said}");
        }
    }

    #[test]
    fn a_kernel_without_netfilter_is_reported() {
        assert!(RedirectError::of_socket(Errno::PROTONOSUPPORT).to_string().contains("CONFIG_NF_TABLES"));
        assert!(RedirectError::of_socket(Errno::MFILE).to_string().contains("over netlink"));
    }
}
