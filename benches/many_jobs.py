"""Many jobs that wait for capacity, watched by one `mlaction collect --wait`: what it asks for, and its memory.

Where the rig is up: `$MLACTION_RIG_PYTHON benches/many_jobs.py BINARY JOBS POLL SECONDS`.
"""
import json, os, subprocess, sys, tempfile, time, urllib.request, signal
import botocore.session
tools=os.environ["MLACTION_TEST_TOOLS"]; binary=sys.argv[1]; count=int(sys.argv[2]); poll=sys.argv[3]; seconds=float(sys.argv[4])
p=subprocess.Popen([tools+"/bin/sagemaker-stand-in"],stdin=subprocess.DEVNULL,stdout=subprocess.PIPE)
ready=json.loads(p.stdout.readline()); env={**os.environ,**ready["environment"]}
def ask(method,path,body=b""):
    r=urllib.request.Request(ready["endpoint"]+path,data=body or None,method=method); return urllib.request.urlopen(r).read()
ask("PUT","/lake")
ask("POST","/_stand-in/capacity",json.dumps({"ml.m5.xlarge":0}).encode())
os.environ.update(ready["environment"])
s=botocore.session.get_session().create_client("sagemaker",region_name="us-east-1",endpoint_url=ready["environment"]["AWS_ENDPOINT_URL_SAGEMAKER"])
for i in range(count):
    tags={"project":"many","role":"train","content":f"{i:064x}","detached":"true"}
    s.create_training_job(TrainingJobName=f"many-{i:010x}-1-train",AlgorithmSpecification={"TrainingImage":"127.0.0.1:5000/many@sha256:"+"0"*64,"TrainingInputMode":"File"},RoleArn="arn:aws:iam::123456789012:role/training",OutputDataConfig={"S3OutputPath":"s3://lake/ml/output"},ResourceConfig={"InstanceType":"ml.m5.xlarge","InstanceCount":1,"VolumeSizeInGB":30},StoppingCondition={"MaxRuntimeInSeconds":3600},Tags=[{"Key":"mlaction:"+k,"Value":v} for k,v in tags.items()])
d=tempfile.mkdtemp()
os.makedirs(d+"/data"); os.makedirs(d+"/model"); open(d+"/data/a","w").write("1"); open(d+"/model/train.py","w").write("pass")
open(d+"/Dockerfile","w").write("FROM scratch\nCOPY model /\n")
open(d+"/mlaction.toml","w").write(f'''[project]
name = "many"
destination = "cloud"
[registry]
kind = "ecr"
region = "us-east-1"
[data.train]
path = "data"
[training]
entry_point = "model/train.py"
channels = ["train"]
max_runtime = "10m"
[destinations.cloud]
kind = "sagemaker"
region = "us-east-1"
role = "arn:aws:iam::123456789012:role/training"
s3 = "s3://lake/ml"
instance_type = "ml.m5.xlarge"
poll = "{poll}"
''')
before=len(json.loads(ask("GET","/_stand-in/journal"))["requests"])
c=subprocess.Popen([binary,"collect","--wait"],cwd=d,env=env,stderr=subprocess.PIPE,text=True)
marks=[]
t=time.time()
while time.time()-t<seconds:
    time.sleep(seconds/8)
    st=open(f"/proc/{c.pid}/status").read()
    marks.append([int(l.split()[1]) for l in st.splitlines() if l.startswith(("VmRSS","VmHWM"))])
c.send_signal(signal.SIGINT); print(c.communicate(timeout=30)[1].strip().splitlines()[-2:])
j=json.loads(ask("GET","/_stand-in/journal"))["requests"][before:]
ops={}
for r in j: ops[r["operation"]]=ops.get(r["operation"],0)+1
print("requests in",seconds,"s:",ops); print("HWM,RSS kB:",marks)
p.send_signal(signal.SIGTERM); p.wait()
