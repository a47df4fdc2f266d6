import collections, sys
sys.path.insert(0,'/work/main')
import tests.integration.test_scripts_model as m, tests.integration.test_scripts_random as rnd
from tests.integration.script_ledger import Ledger
C=collections.Counter(); 
oc=m.Cell.claim
def claim(self,**k):
    r=oc(self,**k); C['claim']+=1; C['claim_nonempty']+=bool(r.jobs); C['promoted_claimed']+=sum(1 for _ in r.jobs); return r
m.Cell.claim=claim
for n in ['submit','commit','fail','cancel','reap','promote','release','start','expire','come_back_late']:
    pass
def test_cov(connection, keys):
    moves=collections.Counter()
    inv=m.ScriptsAgainstModel.records_say_what_the_model_says
    m.test_the_scripts_do_what_the_model_does(connection, keys)
    print(C); C.clear()
    oa=Ledger._attempt; ml=[]
    def att(self,act):
        w=self.was_stopped; self.was_stopped=False; r=oa(self,act); C['ops']+=1; C['stopped']+=self.was_stopped; self.was_stopped|=w; ml.append(self); return r
    Ledger._attempt=att
    rnd.test_any_history_keeps_the_promises(connection, keys)
    mv=set().union(*[l.moves for l in ml]); print(C,len(mv),mv, 'settled',sum(len(l._settled) for l in set(ml)),'lost',sum(len(l._lost) for l in set(ml)),'seen',sum(len(l._seen) for l in set(ml)))
