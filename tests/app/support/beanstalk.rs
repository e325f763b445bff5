//! A simulated instance of Elastic Beanstalk. It handles a source bundle as documented: unpack, hooks, container
//! commands, the Procfile's process, nginx in front; but in a temporary folder, on free ports and as the current user.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;

use serde_json::Value;
use tempfile::TempDir;

use super::nginx::is_root;
use super::program::Serving;
use super::server::tool;
use super::wait::wait_blocking;
use super::{Browser, TestDatabase};

/// The folder deploy/eb/source.
pub fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/eb/source")
}

/// Runs deploy/eb/bundle with `binary` instead of the deployed one.
pub fn bundle(binary: &Path, output: &Path) -> String {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/eb/bundle");
    let made = Command::new(script).arg("--binary").arg(binary).arg(output).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    String::from_utf8(made.stdout).unwrap()
}

/// Parses a YAML document.
pub fn yaml(text: &str) -> Value {
    let script = "import json, sys, yaml; print(json.dumps(yaml.safe_load(sys.argv[1])))";
    let read = Command::new(tool("python/bin/python")).args(["-c", script, text]).output().unwrap();
    assert!(read.status.success(), "{}", String::from_utf8_lossy(&read.stderr));
    serde_json::from_slice(&read.stdout).unwrap()
}

pub struct Instance {
    pub folder: TempDir,
    pub database: TestDatabase,
    /// nginx's address, which the load balancer connects to.
    pub address: SocketAddr,
    properties: BTreeMap<String, String>,
    web: Option<Serving>,
    nginx: Option<Child>,
}

impl Instance {
    /// Launches an instance without a deployment. Its environment properties are the bundle's option settings and
    /// `properties`; paths are moved into the folder.
    pub async fn launch(properties: &[(&str, &str)]) -> Instance {
        let folder = tempfile::tempdir().unwrap();
        let database = TestDatabase::create(folder.path()).await;
        // Both are bound at the same time, so that the ports differ.
        let ports = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let [address, app] = ports.map(|port| port.local_addr().unwrap());
        let text = fs::read_to_string(source().join(".ebextensions/01-environment.config")).unwrap();
        let settings = &yaml(&text)["option_settings"]["aws:elasticbeanstalk:application:environment"];
        let root = format!("{}/var/", folder.path().display());
        let mut all: BTreeMap<_, _> = settings
            .as_object()
            .unwrap()
            .iter()
            .map(|(name, value)| {
                let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                (name.clone(), value.replace("/var/", &root))
            })
            .collect();
        // A real instance downloads this file.
        all.remove("DATABASE_CA_FILE").unwrap();
        all.insert("DATABASE_URL".into(), database.url.clone());
        all.insert("PORT".into(), app.port().to_string());
        all.extend(properties.iter().map(|(name, value)| (name.to_string(), value.to_string())));
        fs::create_dir_all(folder.path().join("var/app")).unwrap();
        fs::create_dir_all(folder.path().join("var/lib")).unwrap();
        Instance { folder, database, address, properties: all, web: None, nginx: None }
    }

    fn app(&self) -> PathBuf {
        self.folder.path().join("var/app")
    }

    /// Deploys this bundle as the leader instance, in the documented order.
    pub fn deploy(&mut self, bundle: &Path) {
        self.unpack(bundle);
        self.run_hooks("hooks/prebuild");
        // On a real instance the user webapp could not create it.
        assert!(Path::new(&self.properties["DATA_DIR"]).is_dir());
        self.configure_nginx("");
        for name in ["01-environment.config", "02-database.config"] {
            let text = fs::read_to_string(self.app().join("staging/.ebextensions").join(name)).unwrap();
            let commands = yaml(&text)["container_commands"].clone();
            for command in commands.as_object().into_iter().flat_map(|commands| commands.values()) {
                let shell =
                    self.in_staging("bash").args(["-c", command["command"].as_str().unwrap()]).output();
                succeed(&shell.unwrap());
            }
        }
        self.run_hooks("hooks/predeploy");
        if let Some(before) = self.web.take() {
            before.stop();
        }
        let (staging, current) = (self.app().join("staging"), self.app().join("current"));
        let _ = fs::remove_dir_all(&current);
        fs::rename(staging, current).unwrap();
        self.start_web();
        self.start_nginx();
        self.run_hooks("hooks/postdeploy");
    }

    /// Unpacks the bundle: the first step of a deployment.
    pub fn unpack(&self, bundle: &Path) {
        let staging = self.app().join("staging");
        let _ = fs::remove_dir_all(&staging);
        succeed(&Command::new("unzip").arg("-q").arg(bundle).arg("-d").arg(staging).output().unwrap());
    }

    /// A command that runs as the platform runs it during a deployment.
    fn in_staging(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.current_dir(self.app().join("staging")).env_clear().envs(&self.properties);
        command.env("HOME", "/root").env("PATH", self.path()).stdin(Stdio::null());
        command
    }

    /// The migration hook of the bundle.
    pub fn migration(&self) -> Command {
        self.in_staging(self.app().join("staging/.platform/confighooks/predeploy/01_migrate"))
    }

    /// A PATH with a stub of `install`: there is no user webapp here, so files belong to the current user.
    fn path(&self) -> String {
        let programs = self.folder.path().join("bin");
        if !programs.exists() {
            fs::create_dir(&programs).unwrap();
            let text = "#!/bin/bash\n[ \"$*\" = \"-d -m 750 -o webapp -g webapp ${*: -1}\" ] || exit 64\n\
                        exec /usr/bin/install -d -m 750 \"${@: -1}\"\n";
            fs::write(programs.join("install"), text).unwrap();
            succeed(&Command::new("chmod").arg("755").arg(programs.join("install")).output().unwrap());
        }
        format!("{}:/usr/bin:/bin", programs.display())
    }

    fn run_hooks(&self, kind: &str) {
        let folder = self.app().join("staging/.platform").join(kind);
        let Ok(entries) = fs::read_dir(folder) else { return };
        let mut hooks: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        hooks.sort();
        for hook in hooks {
            succeed(&self.in_staging(hook).output().unwrap());
        }
    }

    /// Combines the platform's generated configuration with the bundle's. `timeouts` are directives that other platform
    /// versions have in the `server` block.
    pub fn configure_nginx(&self, timeouts: &str) -> PathBuf {
        let folder = self.folder.path().join("nginx");
        let _ = fs::remove_dir_all(folder.join("conf.d"));
        // nginx writes a log whose name contains variables only if the root directory exists.
        for name in ["healthd", "html"] {
            fs::create_dir_all(folder.join(name)).unwrap();
        }
        let ours = self.app().join("staging/.platform/nginx/conf.d");
        succeed(&Command::new("cp").arg("-r").arg(ours).arg(&folder).output().unwrap());
        let text = include_str!("beanstalk_nginx.conf")
            .replace("FOLDER", &folder.display().to_string())
            .replace("LISTEN", &self.address.to_string())
            .replace("PORT", &self.properties["PORT"])
            .replace("# TIMEOUTS", timeouts);
        fs::write(folder.join("nginx.conf"), text).unwrap();
        if is_root() {
            // nginx's workers then run as another user.
            succeed(&Command::new("chmod").args(["-R", "a+rwX"]).arg(&folder).output().unwrap());
            succeed(&Command::new("chmod").arg("a+x").arg(self.folder.path()).output().unwrap());
        }
        let test = nginx(&folder).arg("-t").output().unwrap();
        assert!(test.status.success(), "{}", String::from_utf8_lossy(&test.stderr));
        folder
    }

    fn start_web(&mut self) {
        let procfile = fs::read_to_string(self.app().join("current/Procfile")).unwrap();
        let command = procfile.lines().next().unwrap().strip_prefix("web: ").unwrap();
        let mut web = Command::new("bash");
        web.args(["-c", &format!("exec {command}")]).current_dir(self.app().join("current"));
        web.env_clear().envs(&self.properties);
        let mut web = Serving::start(web);
        web.wait_for("\"ready\"");
        self.web = Some(web);
    }

    /// Restarts nginx, as a deployment does to load the new configuration.
    fn start_nginx(&mut self) {
        self.stop_nginx();
        let mut command = nginx(&self.folder.path().join("nginx"));
        let log = fs::File::create(self.folder.path().join("nginx/error.log")).unwrap();
        self.nginx = Some(command.stdin(Stdio::null()).stderr(log).spawn().unwrap());
        wait_blocking(|| TcpStream::connect(self.address).map_err(|error| format!("nginx: {error}")));
    }

    fn stop_nginx(&mut self) {
        if let Some(mut nginx) = self.nginx.take() {
            // SIGTERM, not SIGKILL, so that it can stop its workers.
            let _ = Command::new("kill").arg(nginx.id().to_string()).status();
            let _ = nginx.wait();
        }
    }

    /// The process of the application.
    pub fn web(&mut self) -> &mut Serving {
        self.web.as_mut().unwrap()
    }

    /// A browser at this address that comes through the load balancer.
    pub fn visitor(&self, address: &str) -> Browser {
        let mut browser = Browser::at(&self.properties["APP_URL"], self.address);
        browser.forwarded_for = Some(address.to_owned());
        browser
    }

    /// The log that enhanced health reporting reads.
    pub fn health_log(&self) -> String {
        let mut text = String::new();
        for entry in fs::read_dir(self.folder.path().join("nginx/healthd")).unwrap() {
            let _ = writeln!(text, "{}", fs::read_to_string(entry.unwrap().path()).unwrap());
        }
        text
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        self.stop_nginx();
        self.database.drop_soon();
    }
}

fn nginx(folder: &Path) -> Command {
    let mut command = Command::new("/usr/sbin/nginx");
    command.args(["-e", "stderr", "-p"]).arg(folder).arg("-c").arg(folder.join("nginx.conf"));
    command
}

fn succeed(output: &Output) {
    let said = |bytes| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}{}", said(&output.stdout), said(&output.stderr));
}

/// A bundle with the program under test, built once and stripped of debug information, which is most of its size.
pub fn test_bundle() -> &'static Path {
    static BUNDLE: OnceLock<PathBuf> = OnceLock::new();
    BUNDLE.get_or_init(|| {
        let built = Path::new(env!("CARGO_BIN_EXE_sample-app"));
        let folder = built.parent().unwrap().join("beanstalk");
        fs::create_dir_all(&folder).unwrap();
        let (binary, path) = (folder.join("sample-app"), folder.join("bundle.zip"));
        succeed(&Command::new("strip").arg("-o").arg(&binary).arg(built).output().unwrap());
        bundle(&binary, &path);
        path
    })
}
