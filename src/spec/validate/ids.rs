//! What is checked of ids in a new user namespace: one that is not mapped is nobody there, and the kernel answers EINVAL
//! without saying to what.

use super::super::load::SpecError;
use super::super::oci::{Linux, LinuxIdMapping, LinuxNamespaceType, Mount, Spec};
use super::invalid;

/// Checks the process's user and groups, and the owners that mounts name.
pub(super) fn check(spec: &Spec, linux: &Linux) -> Result<(), SpecError> {
    let has_user = linux.namespaces().iter().flatten().any(|entry| entry.typ() == LinuxNamespaceType::User);
    for (index, one) in spec.mounts().iter().flatten().enumerate() {
        mount(index, one, has_user)?;
    }
    let namespaces = linux.namespaces().iter().flatten();
    let is_new = |path: &Option<std::path::PathBuf>| path.as_ref().is_none_or(|path| path.as_os_str().is_empty());
    let mut user = namespaces.filter(|entry| entry.typ() == LinuxNamespaceType::User);
    if !user.any(|entry| is_new(entry.path())) {
        return Ok(());
    }
    let users = linux.uid_mappings().as_deref().unwrap_or_default();
    let groups = linux.gid_mappings().as_deref().unwrap_or_default();
    let check = |field: String, id: u32, maps: &[LinuxIdMapping], list| match is_mapped(maps, id) {
        true => Ok(()),
        false => Err(invalid(field, format!("{id} is not mapped by {list}, so nobody can be it"))),
    };
    let (users, groups) = ((users, "linux.uidMappings"), (groups, "linux.gidMappings"));
    if let Some(process) = spec.process() {
        let user = process.user();
        check("process.user.uid".into(), user.uid(), users.0, users.1)?;
        check("process.user.gid".into(), user.gid(), groups.0, groups.1)?;
        for (index, gid) in user.additional_gids().iter().flatten().enumerate() {
            check(format!("process.user.additionalGids[{index}]"), *gid, groups.0, groups.1)?;
        }
    }
    for (index, mount) in spec.mounts().iter().flatten().enumerate() {
        for option in mount.options().iter().flatten() {
            let Some((name @ ("uid" | "gid"), id)) = option.split_once('=') else { continue };
            let (maps, list) = if name == "uid" { users } else { groups };
            if let Ok(id) = id.parse() {
                check(format!("mounts[{index}].options: {option}"), id, maps, list)?;
            }
        }
    }
    Ok(())
}

/// The owners of a mount are mapped where its file system is there already, for users and groups both.
fn mount(index: usize, mount: &Mount, has_user: bool) -> Result<(), SpecError> {
    let field = |name: &str| format!("mounts[{index}].{name}");
    let asks =
        |names: &[&str]| mount.options().iter().flatten().find(|option| names.contains(&option.as_str())).cloned();
    let maps = |maps: &Option<Vec<LinuxIdMapping>>| maps.clone().unwrap_or_default();
    let (users, groups) = (maps(mount.uid_mappings()), maps(mount.gid_mappings()));
    let option = asks(&["idmap", "ridmap"]);
    if users.is_empty() && groups.is_empty() && option.is_none() {
        return Ok(());
    }
    if asks(&["bind", "rbind"]).is_none() && mount.typ().as_deref() != Some("bind") {
        let message = format!("only a bind mount can have its owners mapped, and {:?} is none", mount.destination());
        return Err(invalid(field("uidMappings"), message));
    }
    match (users.is_empty(), groups.is_empty()) {
        (true, false) => return Err(invalid(field("uidMappings"), "is required beside gidMappings")),
        (false, true) => return Err(invalid(field("gidMappings"), "is required beside uidMappings")),
        (true, true) if !has_user => {
            let message = format!(
                "{} needs uidMappings, or a \"user\" namespace whose maps it takes",
                option.unwrap_or_default()
            );
            return Err(invalid(field("options"), message));
        }
        _ => {}
    }
    for (name, list) in [("uidMappings", users), ("gidMappings", groups)] {
        if let Some(index) = list.iter().position(|map| map.size() == 0) {
            return Err(invalid(field(&format!("{name}[{index}].size")), "is 0"));
        }
    }
    Ok(())
}

fn is_mapped(maps: &[LinuxIdMapping], id: u32) -> bool {
    maps.iter().any(|map| id.checked_sub(map.container_id()).is_some_and(|offset| offset < map.size()))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::spec::{Config, rootless_template};

    #[test]
    fn the_owners_of_a_mount_are_mapped_whole_or_not_at_all() {
        let error = |mount: Value| {
            let mut config = crate::spec::template();
            config["mounts"].as_array_mut().expect("a list").push(mount);
            Config::parse(&config.to_string()).expect_err("refused").to_string()
        };
        let map = json!([{"containerID": 0, "hostID": 5, "size": 1}]);
        let said = [
            error(json!({"destination": "/a", "source": "/b", "options": ["bind"], "uidMappings": map})),
            error(json!({"destination": "/a", "source": "/b", "options": ["bind", "idmap"]})),
            error(json!({"destination": "/a", "type": "tmpfs", "uidMappings": map, "gidMappings": map})),
        ];
        insta::assert_snapshot!(said.join("\n"), @r#"
        config.json: mounts[7].gidMappings: is required beside uidMappings
        config.json: mounts[7].options: idmap needs uidMappings, or a "user" namespace whose maps it takes
        config.json: mounts[7].uidMappings: only a bind mount can have its owners mapped, and "/a" is none
        "#);
    }

    #[test]
    fn ids_that_are_not_mapped_are_named() {
        let error = |change: &dyn Fn(&mut Value)| {
            let mut config = rootless_template(1000, 1000);
            change(&mut config);
            Config::parse(&config.to_string()).expect_err("refused").to_string()
        };
        let nobody = "so nobody can be it";
        assert_eq!(
            error(&|config| config["process"]["user"]["uid"] = 7.into()),
            format!("config.json: process.user.uid: 7 is not mapped by linux.uidMappings, {nobody}")
        );
        assert_eq!(
            error(&|config| config["process"]["user"]["additionalGids"] = json!([0, 5])),
            format!("config.json: process.user.additionalGids[1]: 5 is not mapped by linux.gidMappings, {nobody}")
        );
        assert_eq!(
            error(&|config| config["mounts"][2]["options"] = json!(["gid=5"])),
            format!("config.json: mounts[2].options: gid=5: 5 is not mapped by linux.gidMappings, {nobody}")
        );
        let mut config = rootless_template(1000, 1000);
        config["linux"]["namespaces"].as_array_mut().expect("a list").retain(|entry| entry["type"] != "user");
        config["linux"]["uidMappings"] = json!([]);
        config["linux"]["gidMappings"] = json!([]);
        config["process"]["user"]["uid"] = 7.into();
        Config::parse(&config.to_string()).expect("in our own user namespace every id may be one");
    }
}
