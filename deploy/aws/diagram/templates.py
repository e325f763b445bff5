"""Reads the templates of deploy/aws/templates, with CloudFormation's short tags (`!Ref X` becomes {"Ref": "X"})."""
import pathlib

import yaml

FOLDER = pathlib.Path(__file__).parents[1] / "templates"


class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
    pass


def construct(loader, suffix, node):
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_mapping(node, deep=True)
    if suffix == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}": value}


Loader.add_multi_constructor("!", construct)


def load(folder=FOLDER):
    """Templates by the name of their layer."""
    return {file.stem: yaml.load(file.read_text(), Loader) for file in sorted(folder.glob("*.yaml"))}


def references(value):
    """Names of all parameters and resources that a value refers to."""
    if isinstance(value, list):
        return {name for item in value for name in references(item)}
    if not isinstance(value, dict):
        return set()
    names = set()
    for key, item in value.items():
        if key == "Ref":
            names.add(item)
        elif key == "Fn::GetAtt":
            names.add(item[0])
        elif key == "Fn::Sub":
            text, variables = item if isinstance(item, list) else (item, {})
            names |= {part.partition("}")[0].partition(".")[0] for part in text.split("${")[1:]} | references(variables)
        else:
            names |= references(item)
    return names


REGION, ACCOUNT = "ap-northeast-1", "123456789012"
PSEUDO_PARAMETERS = {"AWS::Region": REGION, "AWS::AccountId": ACCOUNT, "AWS::Partition": "aws", "AWS::URLSuffix": "amazonaws.com",
                     "AWS::StackName": "sample-app-layer", "AWS::StackId": f"arn:aws:cloudformation:{REGION}:{ACCOUNT}:stack/sample-app-layer/1"}
NO_VALUE = object()


class Resolver:
    """A template with parameters and conditions put in. Refs and attributes of resources become `<Name>` and `<Name.Attribute>`."""

    def __init__(self, template, parameters):
        declared = template.get("Parameters", {})
        unknown = parameters.keys() - declared.keys()
        assert not unknown, f"no such parameters: {unknown}"
        defaults = {name: parameter["Default"] for name, parameter in declared.items() if "Default" in parameter}
        self.values = {**PSEUDO_PARAMETERS, "AWS::NoValue": NO_VALUE, **defaults, **parameters}
        missing = declared.keys() - self.values.keys()
        assert not missing, f"parameters without value: {missing}"
        for name, parameter in declared.items():
            if (parameter["Type"].startswith("List<") or parameter["Type"] == "CommaDelimitedList") and isinstance(self.values[name], str):
                self.values[name] = self.values[name].split(",")
        self.conditions = template.get("Conditions", {})
        self.resources = {name: self.value(resource) for name, resource in template["Resources"].items()
                          if "Condition" not in resource or self.holds(resource["Condition"])}
        self.outputs = {name: self.value(output["Value"]) for name, output in template.get("Outputs", {}).items()
                        if "Condition" not in output or self.holds(output["Condition"])}

    def holds(self, condition):
        if isinstance(condition, str):
            return self.holds(self.conditions[condition])
        [(kind, items)] = condition.items()
        if kind == "Condition":
            return self.holds(items)
        if kind == "Fn::Equals":
            left, right = (str(self.value(item)) for item in items)
            return left == right
        if kind == "Fn::Not":
            return not self.holds(items[0])
        return {"Fn::And": all, "Fn::Or": any}[kind](self.holds(item) for item in items)

    def value(self, value):
        if isinstance(value, list):
            return [item for item in map(self.value, value) if item is not NO_VALUE]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            [(kind, items)] = value.items()
            if kind == "Ref":
                return self.values.get(items, f"<{items}>")
            if kind.startswith("Fn::"):
                return getattr(self, kind[4:].lower())(items)
        found = {key: self.value(item) for key, item in value.items() if key != "Condition" or not isinstance(item, str)}
        return {key: item for key, item in found.items() if item is not NO_VALUE}

    def getatt(self, items):
        return f"<{'.'.join(items)}>"

    def sub(self, items):
        text, variables = items if isinstance(items, list) else (items, {})
        variables = {name: self.value(item) for name, item in variables.items()}
        parts = text.split("${")
        out = [parts[0]]
        for part in parts[1:]:
            name, _, rest = part.partition("}")
            # ${!X} is ${X} of bash.
            out.append("${" + name[1:] + "}" + rest if name.startswith("!") else str(variables.get(name, self.values.get(name, f"<{name}>"))) + rest)
        return "".join(out)

    def join(self, items):
        return items[0].join(str(item) for item in self.value(items[1]))

    def select(self, items):
        return self.value(items[1])[int(self.value(items[0]))]

    def split(self, items):
        return self.value(items[1]).split(items[0])

    def base64(self, item):
        return self.value(item)

    def getazs(self, _):
        return [f"{REGION}a", f"{REGION}c"]

    def cidr(self, items):
        return [f"<Cidr.{number}>" for number in range(int(self.value(items[1])))]

    def __getattr__(self, name):
        if name == "if":
            return lambda items: self.value(items[1] if self.holds(items[0]) else items[2])
        raise AttributeError(f"the resolver does not know Fn::{name}")
